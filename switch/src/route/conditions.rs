//! The conditions of a route beside host and path.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use pointsman_config::policy::{Match, ValuePattern};

use super::RequestView;
use super::cookie::cookies;
use super::query::{decoded, parameters};

/// What must hold for a route once host and path do. An empty list is no condition.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    methods: Vec<String>,
    headers: Vec<(String, ValuePattern)>,
    cookies: Vec<(String, ValuePattern)>,
    query: Vec<(String, ValuePattern)>,
    clients: Vec<IpNet>,
    listeners: Vec<String>,
}

impl Conditions {
    /// Those of a match.
    pub(super) fn new(matches: &Match) -> Self {
        Self {
            methods: matches.methods.clone(),
            headers: matches.headers.clone(),
            cookies: matches.cookies.clone(),
            query: matches.query.clone(),
            clients: matches
                .clients
                .iter()
                .map(|network| canonical(*network))
                .collect(),
            listeners: matches.listeners.clone(),
        }
    }

    /// The first one that fails; `None`: all of them hold.
    pub(super) fn failing(&self, view: &impl RequestView) -> Option<Condition<'_>> {
        if !any_or_empty(&self.methods, |method| method == view.method()) {
            return Some(Condition::Method(&self.methods));
        }
        if !any_or_empty(&self.listeners, |listener| listener == view.listener()) {
            return Some(Condition::Listener(&self.listeners));
        }
        if !self.client_holds(view) {
            return Some(Condition::Client(&self.clients));
        }
        for (name, pattern) in &self.headers {
            if !has_header(view, name, pattern) {
                return Some(Condition::Header(name, pattern));
            }
        }
        for (name, pattern) in &self.cookies {
            if !has_cookie(view, name, pattern) {
                return Some(Condition::Cookie(name, pattern));
            }
        }
        for (name, pattern) in &self.query {
            if !has_parameter(view, name, pattern) {
                return Some(Condition::Query(name, pattern));
            }
        }
        None
    }

    fn client_holds(&self, view: &impl RequestView) -> bool {
        self.clients.is_empty() || {
            let client: IpAddr = view.client().to_canonical();
            self.clients.iter().any(|network| network.contains(&client))
        }
    }
}

/// All conditions of a match beside host and path, as they would be written in the policy.
pub fn conditions(matches: &Match) -> Vec<String> {
    let Match {
        methods,
        headers,
        cookies,
        query,
        clients,
        listeners,
        ..
    } = matches;
    let mut all = Vec::new();
    if !methods.is_empty() {
        all.push(Condition::Method(methods));
    }
    if !listeners.is_empty() {
        all.push(Condition::Listener(listeners));
    }
    if !clients.is_empty() {
        all.push(Condition::Client(clients));
    }
    let headers = headers
        .iter()
        .map(|(name, value)| Condition::Header(name, value));
    let cookies = cookies
        .iter()
        .map(|(name, value)| Condition::Cookie(name, value));
    let query = query
        .iter()
        .map(|(name, value)| Condition::Query(name, value));
    all.extend(headers.chain(cookies).chain(query));
    all.iter().map(Condition::to_string).collect()
}

/// A condition of a route beside host and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'c> {
    /// The method is one of these.
    Method(&'c [String]),
    /// The request came over one of these listeners.
    Listener(&'c [String]),
    /// The client is in one of these networks.
    Client(&'c [IpNet]),
    /// A header field of this name has such a value.
    Header(&'c str, &'c ValuePattern),
    /// The same of a cookie.
    Cookie(&'c str, &'c ValuePattern),
    /// The same of a query parameter.
    Query(&'c str, &'c ValuePattern),
}

/// As it would be written in the policy.
impl fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = |pattern: &ValuePattern| match pattern {
            ValuePattern::Present => "*".to_owned(),
            ValuePattern::Exact(text) => text.clone(),
            ValuePattern::Prefix(text) => format!("{text}*"),
        };
        match self {
            Self::Method(methods) => write!(f, "method = {methods:?}"),
            Self::Listener(listeners) => write!(f, "listener = {listeners:?}"),
            Self::Client(networks) => {
                let networks: Vec<_> = networks.iter().map(IpNet::to_string).collect();
                write!(f, "client = {networks:?}")
            }
            Self::Header(name, value) => write!(f, "header {name} = {:?}", pattern(value)),
            Self::Cookie(name, value) => write!(f, "cookie {name} = {:?}", pattern(value)),
            Self::Query(name, value) => write!(f, "query {name} = {:?}", pattern(value)),
        }
    }
}

fn any_or_empty<T>(list: &[T], holds: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(holds)
}

/// Some field of that name has such a value; the values of a list are not taken apart.
fn has_header(view: &impl RequestView, name: &str, pattern: &ValuePattern) -> bool {
    view.header(name)
        .any(|value| fits(pattern, value.trim_ascii().iter().copied()))
}

fn has_cookie(view: &impl RequestView, name: &str, pattern: &ValuePattern) -> bool {
    view.header("cookie")
        .flat_map(cookies)
        .any(|(cookie, value)| cookie == name.as_bytes() && fits(pattern, value.iter().copied()))
}

fn has_parameter(view: &impl RequestView, name: &str, pattern: &ValuePattern) -> bool {
    parameters(view.query().unwrap_or_default()).any(|(parameter, value)| {
        decoded(parameter).eq(name.bytes()) && fits(pattern, decoded(value))
    })
}

fn fits(pattern: &ValuePattern, mut value: impl Iterator<Item = u8>) -> bool {
    match pattern {
        ValuePattern::Present => true,
        ValuePattern::Exact(text) => value.eq(text.bytes()),
        ValuePattern::Prefix(text) => text.bytes().all(|byte| value.next() == Some(byte)),
    }
}

/// A network of IPv4-mapped addresses (RFC 4291 2.5.5.2) is one of IPv4 addresses.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let v4 = v6
        .addr()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(addr, len)| Ipv4Net::new(addr, len).ok())
        .map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::testing::Request;

    fn holds(edit: impl FnOnce(&mut Match), request: &Request<'_>) -> bool {
        let mut matches = Match::default();
        edit(&mut matches);
        Conditions::new(&matches).failing(request).is_none()
    }

    #[test]
    fn no_condition_always_holds() {
        assert!(holds(|_| {}, &Request::default()));
    }

    #[test]
    fn methods_are_compared_by_case() {
        let get = |matches: &mut Match| matches.methods = vec!["GET".into(), "HEAD".into()];
        assert!(holds(
            get,
            &Request {
                method: "HEAD",
                ..Request::default()
            }
        ));
        assert!(!holds(
            get,
            &Request {
                method: "get",
                ..Request::default()
            }
        ));
    }

    #[test]
    fn every_header_condition_must_hold() {
        let both = |matches: &mut Match| {
            matches.headers = vec![
                ("x-a".into(), ValuePattern::Exact("1".into())),
                ("x-b".into(), ValuePattern::Present),
            ]
        };
        let one = [("x-a", "1")];
        let two = [("x-a", "0"), ("x-b", ""), ("x-a", " 1 ")];
        assert!(!holds(
            both,
            &Request {
                fields: &one,
                ..Request::default()
            }
        ));
        assert!(holds(
            both,
            &Request {
                fields: &two,
                ..Request::default()
            }
        ));
    }

    #[test]
    fn a_value_may_be_given_by_its_beginning() {
        let agent = |matches: &mut Match| {
            matches.headers = vec![("user-agent".into(), ValuePattern::Prefix("curl/".into()))]
        };
        for (value, expected) in [("curl/8.0", true), ("curl/", true), ("curl", false)] {
            let fields = [("user-agent", value)];
            assert_eq!(
                holds(
                    agent,
                    &Request {
                        fields: &fields,
                        ..Request::default()
                    }
                ),
                expected
            );
        }
    }

    #[test]
    fn a_cookie_is_found_in_any_of_the_fields() {
        let beta = |matches: &mut Match| {
            matches.cookies = vec![("beta".into(), ValuePattern::Exact("on".into()))]
        };
        let fields = [("cookie", "a=b; beta=off"), ("cookie", "c=d;beta=on")];
        assert!(holds(
            beta,
            &Request {
                fields: &fields,
                ..Request::default()
            }
        ));
        assert!(!holds(
            beta,
            &Request {
                fields: &fields[..1],
                ..Request::default()
            }
        ));
        let other_case = [("cookie", "Beta=on")];
        assert!(!holds(
            beta,
            &Request {
                fields: &other_case,
                ..Request::default()
            }
        ));
    }

    #[test]
    fn query_parameters_are_compared_decoded() {
        let term = |matches: &mut Match| {
            matches.query = vec![("the term".into(), ValuePattern::Exact("a&b".into()))]
        };
        for (query, expected) in [
            (Some("x=1&the+term=a%26b"), true),
            (Some("%74he%20term=a%26b"), true),
            (Some("the term=a"), false),
            (None, false),
        ] {
            assert_eq!(
                holds(
                    term,
                    &Request {
                        query,
                        ..Request::default()
                    }
                ),
                expected
            );
        }
    }

    #[test]
    fn mapped_addresses_count_as_ipv4() {
        for (network, client, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("fd00::/8", "fd00::1", true),
            ("::/0", "10.0.0.1", false),
        ] {
            let client = client.parse().unwrap();
            let inside = |matches: &mut Match| matches.clients = vec![network.parse().unwrap()];
            assert_eq!(
                holds(
                    inside,
                    &Request {
                        client,
                        ..Request::default()
                    }
                ),
                expected
            );
        }
    }

    #[test]
    fn a_route_may_hold_on_some_listeners_only() {
        let inner = |matches: &mut Match| matches.listeners = vec!["inner".into()];
        assert!(holds(
            inner,
            &Request {
                listener: "inner",
                ..Request::default()
            }
        ));
        assert!(!holds(
            inner,
            &Request {
                listener: "web",
                ..Request::default()
            }
        ));
    }
}
