//! Requests and routes as the tests of routing write them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use pointsman_config::policy::{
    Action, HeaderEdits, HostPattern, Match, PathPattern, Retry, RetryOn, Route, RouteTimeouts,
};

use super::RequestView;

/// A route with this match.
pub(super) fn route(matches: Match) -> Route {
    Route {
        name: "route".into(),
        matches,
        action: Action::Pool("app".into()),
        rewrite: None,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        timeouts: RouteTimeouts {
            response: Duration::from_secs(1),
            total: None,
            tunnel: Duration::from_secs(1),
        },
        deadline_header: None,
        retry: Retry {
            attempts: 1,
            on: RetryOn {
                connect: true,
                reset: true,
                timeout: false,
                statuses: Vec::new(),
            },
            budget: 0.2,
            per_try: None,
            hedge: None,
            unsafe_methods: false,
        },
        limit: None,
        max_body: None,
    }
}

/// A match by host and path, written as in a policy (`*.a.example`, `/v1/*`), "" for none.
pub(super) fn matching(host: &str, path: &str) -> Match {
    let host = host.strip_prefix("*.").map_or_else(
        || HostPattern::Exact(host.into()),
        |suffix| HostPattern::Wildcard(suffix.into()),
    );
    let pattern = path.strip_suffix("/*").map_or_else(
        || PathPattern::Exact(path.into()),
        |prefix| PathPattern::Prefix(prefix.into()),
    );
    Match {
        hosts: if host == HostPattern::Exact(String::new()) {
            vec![]
        } else {
            vec![host]
        },
        paths: if path.is_empty() {
            vec![]
        } else {
            vec![pattern]
        },
        ..Match::default()
    }
}

/// A request head; fields in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'r> {
    pub(super) method: &'r str,
    pub(super) host: &'r str,
    pub(super) path: &'r str,
    pub(super) query: Option<&'r str>,
    pub(super) fields: &'r [(&'r str, &'r str)],
    pub(super) client: IpAddr,
    pub(super) listener: &'r str,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            host: "",
            path: "/",
            query: None,
            fields: &[],
            client: Ipv4Addr::LOCALHOST.into(),
            listener: "web",
        }
    }
}

impl RequestView for Request<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&(&str, &str)| field.0 == name;
        self.fields
            .iter()
            .filter(named)
            .map(|field| field.1.as_bytes())
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn listener(&self) -> &str {
        self.listener
    }
}
