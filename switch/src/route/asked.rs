//! A request that nobody has sent: what somebody asks about it is answered as if it had come.

use std::net::IpAddr;

use pointsman_config::policy::HashBy;

use super::{RequestView, cookie, normalize, query};
use crate::balance::hash_bytes;

/// A request as somebody describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    method: String,
    /// In lower case, without port.
    host: String,
    path: String,
    query: Option<String>,
    /// Names in lower case.
    fields: Vec<(String, String)>,
    client: IpAddr,
    listener: String,
}

impl Asked {
    /// A request for `target` (path and query) at `host`, which may have a port.
    pub fn new(method: &str, host: &str, target: &str, client: IpAddr, listener: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let name = match host.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        Self {
            method: method.to_owned(),
            host: name.to_ascii_lowercase(),
            path: normalize(path).into_owned(),
            query,
            fields: Vec::new(),
            client,
            listener: listener.to_owned(),
        }
    }

    /// The values of the cookies of this name.
    pub fn cookies<'v>(&'v self, name: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
        let all = self.header("cookie").flat_map(cookie::cookies);
        all.filter_map(move |(given, value)| (given == name).then_some(value))
    }

    /// With one more header field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let field = (name.to_ascii_lowercase(), value.trim().to_owned());
        self.fields.push(field);
        self
    }
}

impl RequestView for Asked {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        let fields = self.fields.iter().filter(named);
        fields.map(|field| field.1.as_bytes())
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn listener(&self) -> &str {
        &self.listener
    }
}

/// The hash of what a pool hashes by, if the request has it.
pub fn affinity(view: &impl RequestView, by: &HashBy) -> Option<u64> {
    match by {
        HashBy::ClientIp => Some(match view.client() {
            IpAddr::V4(ip) => hash_bytes(&ip.octets()),
            IpAddr::V6(ip) => hash_bytes(&ip.octets()),
        }),
        HashBy::Path => Some(hash_bytes(view.path().as_bytes())),
        HashBy::Header(name) => view.header(name).next().map(hash_bytes),
        HashBy::Cookie(name) => {
            let mut cookies = view.header("cookie").flat_map(cookie::cookies);
            let found = cookies.find(|(given, _)| *given == name.as_bytes());
            found.map(|(_, value)| hash_bytes(value))
        }
        HashBy::Query(name) => {
            let mut parameters = query::parameters(view.query()?);
            let found = parameters.find(|(given, _)| *given == name.as_bytes());
            found.map(|(_, value)| hash_bytes(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_made_fit_for_matching() {
        let client = IpAddr::from([10, 0, 0, 1]);
        let cases = [
            ("Shop.Example.", "shop.example"),
            ("shop.example:8080", "shop.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ];
        for (given, host) in cases {
            let asked = Asked::new("GET", given, "/a/../b?x=1", client, "web");
            let got = (asked.host(), asked.path(), asked.query());
            assert_eq!(got, (host, "/b", Some("x=1")));
        }
        let asked = Asked::new("GET", "a", "/", client, "web").with("Cookie", " a=1; b=2 ");
        let by = HashBy::Cookie("b".to_owned());
        assert_eq!(affinity(&asked, &by), Some(hash_bytes(b"2")));
    }
}
