use std::time::Duration;

use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::policy::{HostPattern, SameSite, Sticky, StickyKey};
use crate::source::Value;
use crate::suggest::quoted;
use crate::value::{Unfit, parse_host, parse_path, parse_token};

/// Decodes `sticky` of a pool; `None` where clients are not kept.
pub(super) fn sticky(pool: &Reader<'_>, d: &mut Diagnostics) -> Option<Sticky> {
    let found = pool.find("sticky")?;
    if found.node.value == Value::Boolean(false) {
        return None;
    }
    let section = found.key.kind.sections().into_iter().next()?;
    let reader = pool.table(d, "sticky", section)?;
    reader.require(d, "cookie");
    let item = Sticky {
        cookie: reader.text(d, "cookie", parse_token).unwrap_or_default(),
        ttl: ttl(&reader, d),
        path: reader.text(d, "path", path).unwrap_or_default(),
        domain: reader.text(d, "domain", domain),
        secure: reader.boolean(d, "secure"),
        same_site: match reader.word(d, "same_site") {
            Some("strict") => SameSite::Strict,
            Some("none") => SameSite::None,
            _ => SameSite::Lax,
        },
        http_only: reader.boolean(d, "http_only").unwrap_or_default(),
        key: scalar::secret(&reader, "key", "sticky.key", d)
            .map_or(StickyKey::Host, StickyKey::Given),
    };
    check_names(&item, &reader, d);
    Some(item)
}

fn ttl(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<Duration> {
    let ttl = reader.optional_duration(d, "ttl")?;
    if ttl.subsec_nanos() > 0
        && let Some(found) = reader.find("ttl")
    {
        let message = "clients count a cookie's time in whole seconds";
        d.error(found.node.place, "bad-value", message)
            .help(format!("write \"{}s\"", ttl.as_secs().max(1)));
    }
    Some(ttl)
}

fn path(text: &str) -> Result<String, Unfit> {
    let path = parse_path(text)?;
    match path
        .bytes()
        .all(|byte| byte != b';' && (b'!'..0x7f).contains(&byte))
    {
        true => Ok(path),
        false => Err(
            Unfit::new(format!("{} cannot stand in a cookie", quoted(text)))
                .help("a cookie's path is of visible ASCII without `;`"),
        ),
    }
}

fn domain(text: &str) -> Result<String, Unfit> {
    match parse_host(text.strip_prefix('.').unwrap_or(text))? {
        HostPattern::Exact(host) if !host.starts_with('[') => Ok(host),
        HostPattern::Wildcard(host) => {
            Err(Unfit::new("a cookie's domain holds for all hosts below it")
                .help(format!("write \"{host}\"")))
        }
        HostPattern::Exact(_) => Err(Unfit::new("a cookie's domain is a name")
            .help("leave `domain` out to set the cookie for the host alone")),
    }
}

/// What clients refuse (RFC 6265bis 4.1.3 and 5.7): the cookie would never come back.
fn check_names(sticky: &Sticky, reader: &Reader<'_>, d: &mut Diagnostics) {
    if reader.is_partial() {
        return;
    }
    let place_of = |key: &str| {
        let found = reader.find(key).or_else(|| reader.find("cookie"));
        found.map_or(reader.place(), |found| found.node.place)
    };
    if sticky.same_site == SameSite::None && sticky.secure == Some(false) {
        let message = "clients take `same_site = \"none\"` over TLS alone";
        d.error(place_of("secure"), "conflicting-keys", message)
            .help("write secure = true, or leave it out");
    }
    let host_prefix = sticky.cookie.starts_with("__Host-");
    if (host_prefix || sticky.cookie.starts_with("__Secure-")) && sticky.secure == Some(false) {
        let message = format!("clients take `{}` over TLS alone", sticky.cookie);
        d.error(place_of("secure"), "conflicting-keys", message)
            .help("write secure = true, or choose another name");
    }
    if host_prefix && (sticky.domain.is_some() || sticky.path != "/") {
        let message = format!("clients take `{}` for one whole host alone", sticky.cookie);
        let key = if sticky.domain.is_some() {
            "domain"
        } else {
            "path"
        };
        d.error(place_of(key), "conflicting-keys", message)
            .help("leave `domain` and `path` out, or choose another name");
    }
}
