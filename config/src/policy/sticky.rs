use std::time::Duration;

use super::Secret;

/// `pool.sticky`: a client stays with its backend by a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long the client keeps the cookie, in whole seconds; `None`: until it ends.
    pub ttl: Option<Duration>,
    /// The paths that it is sent to.
    pub path: String,
    /// The domain that it is sent to; `None`: the host that set it alone.
    pub domain: Option<String>,
    /// Whether it is sent over TLS alone; `None`: if it was set over TLS.
    pub secure: Option<bool>,
    /// Which requests from other sites bring it along.
    pub same_site: SameSite,
    /// Whether scripts cannot read it.
    pub http_only: bool,
    /// What cookies are made with.
    pub key: StickyKey,
}

/// `sticky.same_site`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Links and other navigation.
    Lax,
    /// All.
    None,
}

/// What cookies are made with: whoever has it makes the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StickyKey {
    /// `sticky.key`.
    Given(Secret),
    /// The secret of a contact group: its switches make the same cookies.
    Group(Secret),
    /// Something that this host alone has.
    Host,
}
