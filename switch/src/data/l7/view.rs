//! A request as routing and hashing see it.

use std::borrow::Cow;
use std::net::IpAddr;

use pointsman_config::policy::HashBy;

use super::classify;
use super::field::{Known, Span};
use super::head::RequestHead;
use crate::route::{self, RequestView};

/// A request made ready for routing.
#[derive(Debug)]
pub struct View<'a> {
    head: &'a RequestHead,
    host: Cow<'a, str>,
    path: Cow<'a, str>,
    query: Option<&'a str>,
    client: IpAddr,
    listener: &'a str,
}

impl<'a> View<'a> {
    /// The view of a request from this client over this listener.
    pub fn new(head: &'a RequestHead, client: IpAddr, listener: &'a str) -> Self {
        let target = text(head.target());
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let (host, _) = classify::split_port(head.get(head.authority));
        Self {
            head,
            host: lower(text(host)),
            path: route::normalize(path),
            query,
            client,
            listener,
        }
    }

    /// The values of the cookies of this name.
    pub fn cookies<'v>(&'v self, name: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
        let fields = self.head.values(Known::Cookie);
        let named = fields.flat_map(route::cookie::cookies);
        named.filter_map(move |(given, value)| (given == name).then_some(value))
    }

    /// The hash of what the pool hashes by, if the request has it.
    pub fn hash(&self, by: &HashBy) -> Option<u64> {
        route::affinity(self, by)
    }
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        text(self.head.method())
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        // A name that is known is compared by what it is known as.
        let known = Known::of(name.as_bytes());
        self.head.fields.iter().filter_map(move |field| {
            let hit = field.known == known
                && (known != Known::Other
                    || self
                        .head
                        .get(field.name)
                        .eq_ignore_ascii_case(name.as_bytes()));
            hit.then(|| self.head.get(field.value))
        })
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn listener(&self) -> &str {
        self.listener
    }
}

/// Methods, targets and hosts were checked to be ASCII.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn lower(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

/// The authority's span for messages about a request.
pub fn authority(head: &RequestHead) -> &str {
    let span: Span = head.authority;
    text(head.get(span))
}

/// The target as text.
pub fn target(head: &RequestHead) -> &str {
    text(head.target())
}
