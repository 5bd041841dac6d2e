//! What finding a route costs, with one route and with a thousand.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pointsman::route::{RequestView, Router, normalize};
use pointsman_config::policy::{
    Action, HeaderEdits, HostPattern, Match, PathPattern, Retry, RetryOn, Route, RouteTimeouts,
};

/// Routes; the request is taken by the one in the middle.
const COUNTS: [usize; 2] = [1, 1000];

fn by_host(criterion: &mut Criterion) {
    let host = |place: usize| format!("shop-{place}.example.com");
    let matches = |place| Match {
        hosts: vec![HostPattern::Exact(host(place))],
        ..Match::default()
    };
    find(criterion, "host", matches, |place| {
        Request::new(host(place), "/".into())
    });
}

fn by_wildcard(criterion: &mut Criterion) {
    let suffix = |place: usize| format!("shop-{place}.example.com");
    let matches = |place| Match {
        hosts: vec![HostPattern::Wildcard(suffix(place))],
        ..Match::default()
    };
    let host = |place| format!("www.{}", suffix(place));
    find(criterion, "wildcard", matches, |place| {
        Request::new(host(place), "/".into())
    });
}

fn by_path(criterion: &mut Criterion) {
    let prefix = |place: usize| format!("/api/service-{place}/v1");
    let matches = |place| Match {
        paths: vec![PathPattern::Prefix(prefix(place))],
        ..Match::default()
    };
    let path = |place| format!("{}/items/42", prefix(place));
    find(criterion, "path", matches, |place| {
        Request::new("a.example".into(), path(place))
    });
}

fn find(
    criterion: &mut Criterion,
    name: &str,
    matches: impl Fn(usize) -> Match,
    request: impl Fn(usize) -> Request,
) {
    let mut group = criterion.benchmark_group(format!("find_by_{name}"));
    for count in COUNTS {
        let routes: Vec<Route> = (0..count).map(|place| route(matches(place))).collect();
        let router = Router::build(&routes);
        let request = request(count / 2);
        assert_eq!(router.find(&request), Some(count / 2));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| router.find(black_box(&request)));
        });
    }
    group.finish();
}

fn normalizing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalize");
    for path in [
        "/",
        "/api/service-42/v1/items/index.html",
        "/a/%7Euser/../b/./c%20d",
    ] {
        group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
            bencher.iter(|| normalize(black_box(path)).len());
        });
    }
    group.finish();
}

struct Request {
    host: String,
    path: String,
}

impl Request {
    fn new(host: String, path: String) -> Self {
        Self { host, path }
    }
}

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, _: &'a str) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }

    fn client(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn listener(&self) -> &str {
        "web"
    }
}

fn route(matches: Match) -> Route {
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
        limit: None,
        retry: Retry {
            on: RetryOn {
                connect: true,
                reset: true,
                timeout: false,
                statuses: Vec::new(),
            },
            budget: 0.2,
            per_try: None,
            hedge: None,
            attempts: 1,
            unsafe_methods: false,
        },
        max_body: None,
    }
}

criterion_group!(benches, by_host, by_wildcard, by_path, normalizing);
criterion_main!(benches);
