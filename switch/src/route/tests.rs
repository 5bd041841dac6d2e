//! What the router promises, as a table and against a reference that knows no index.

use std::cmp::Reverse;

use ipnet::IpNet;
use pointsman_config::policy::{HostPattern, Match, PathPattern, Route, ValuePattern};
use pointsman_config::specificity::alternatives;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::testing::{Request, matching, route};
use super::{Router, has_prefix};

fn router(matches: impl IntoIterator<Item = Match>) -> Router {
    Router::build(&matches.into_iter().map(route).collect::<Vec<_>>())
}

#[test]
fn the_most_specific_host_and_path_win() {
    let router = router([
        matching("", ""),
        matching("", "/v1/*"),
        matching("*.example", ""),
        matching("*.shop.example", "/*"),
        matching("shop.example", ""),
        matching("shop.example", "/v1/*"),
        matching("shop.example", "/v1/status"),
        matching("shop.example", "/v1/deep/er/*"),
    ]);
    for (host, path, expected) in [
        ("", "/", 0),
        ("other", "/", 0),
        ("other", "/v1", 1),
        ("other", "/v1/a", 1),
        ("other", "/v12", 0),
        ("example", "/", 0),
        (".example", "/", 0),
        ("a.example", "/", 2),
        ("a.example", "/v1", 2),
        ("a.b.example", "/", 2),
        ("a.shop.example", "/x", 3),
        ("ashop.example", "/x", 2),
        ("shop.example", "/", 4),
        ("shop.example.", "/", 4),
        ("shop.example", "/v1", 5),
        ("shop.example", "/v1/", 5),
        ("shop.example", "/v1/status", 6),
        ("shop.example", "/v1/status/", 5),
        ("shop.example", "/v1/deep/er", 7),
        ("shop.example", "/v1/deep/e", 5),
        ("shop.example", "*", 4),
        ("", "", 0),
    ] {
        let request = Request {
            host,
            path,
            ..Request::default()
        };
        assert_eq!(router.find(&request), Some(expected), "{host}{path}");
    }
}

#[test]
fn more_conditions_are_more_specific() {
    let with = |edit: fn(&mut Match)| {
        let mut matches = matching("a", "");
        edit(&mut matches);
        matches
    };
    let router = router([
        with(|m| m.listeners = vec!["web".into()]),
        with(|m| m.clients = vec!["10.0.0.0/8".parse().unwrap()]),
        with(|m| {
            m.clients = vec![
                "10.1.0.0/16".parse().unwrap(),
                "10.1.9.0/24".parse().unwrap(),
            ]
        }),
        with(|m| m.query = vec![("q".into(), ValuePattern::Present)]),
        with(|m| m.cookies = vec![("c".into(), ValuePattern::Present)]),
        with(|m| m.headers = vec![("x".into(), ValuePattern::Present)]),
        with(|m| {
            m.headers = vec![
                ("x".into(), ValuePattern::Present),
                ("y".into(), ValuePattern::Present),
            ]
        }),
        with(|m| m.methods = vec!["PUT".into()]),
    ]);
    let plain = Request {
        host: "a",
        ..Request::default()
    };
    let inside = Request {
        client: [10, 9, 9, 9].into(),
        ..plain
    };
    let deeper = Request {
        client: [10, 1, 9, 9].into(),
        ..plain
    };
    let asking = Request {
        query: Some("q"),
        ..deeper
    };
    let baked = Request {
        fields: &[("cookie", "c=")],
        ..asking
    };
    let headed = Request {
        fields: &[("cookie", "c="), ("x", "")],
        ..asking
    };
    let twice = Request {
        fields: &[("cookie", "c="), ("x", ""), ("y", "")],
        ..asking
    };
    let put = Request {
        method: "PUT",
        ..twice
    };
    let ladder = [plain, inside, deeper, asking, baked, headed, twice, put];
    for (expected, request) in ladder.iter().enumerate() {
        assert_eq!(router.find(request), Some(expected));
    }
    assert_eq!(
        router.find(&Request {
            listener: "inner",
            ..plain
        }),
        None
    );
}

#[test]
fn a_route_whose_conditions_fail_shadows_nothing() {
    let post = |host: &str, path: &str| Match {
        methods: vec!["POST".into()],
        ..matching(host, path)
    };
    let router = router([
        post("a.b.example", "/x"),
        post("a.b.example", "/x/*"),
        post("a.b.example", ""),
        post("*.b.example", "/x"),
        matching("*.example", "/x/*"),
        matching("", ""),
    ]);
    let get = Request {
        host: "a.b.example",
        path: "/x",
        ..Request::default()
    };
    assert_eq!(router.find(&get), Some(4));
    assert_eq!(router.find(&Request { path: "/y", ..get }), Some(5));
    assert_eq!(
        router.find(&Request {
            method: "POST",
            ..get
        }),
        Some(0)
    );
}

#[test]
fn without_a_route_for_it_a_request_finds_none() {
    assert_eq!(Router::build(&[]).find(&Request::default()), None);
    let router = router([matching("a", ""), matching("", "/v1/*")]);
    assert_eq!(
        router.find(&Request {
            host: "b",
            ..Request::default()
        }),
        None
    );
}

#[test]
fn a_path_of_slashes_is_looked_up_no_more_often_than_there_are_prefixes() {
    let path = "/".repeat(1 << 20);
    let router = router([matching("", "/a/*"), matching("", "/*")]);
    let start = std::time::Instant::now();
    for _ in 0..1000 {
        let request = Request {
            path: &path,
            ..Request::default()
        };
        assert_eq!(router.find(&request), Some(1));
    }
    // Walking the segments would hash half a terabyte.
    assert!(start.elapsed().as_secs() < 20);
}

/// Of every alternative of every route that takes the request, the most specific.
fn reference(routes: &[Route], request: &Request<'_>) -> Option<usize> {
    let places = routes.iter().enumerate();
    places
        .flat_map(|(place, route)| alternatives(&route.matches).map(move |one| (place, one)))
        .filter(|(place, one)| {
            host_fits(one.host, request.host)
                && path_fits(one.path, request.path)
                && conditions_fit(&routes[*place].matches, request)
        })
        .max_by_key(|(place, one)| (one.specificity, Reverse(*place)))
        .map(|(place, _)| place)
}

fn host_fits(pattern: Option<&HostPattern>, host: &str) -> bool {
    match pattern {
        None => true,
        Some(HostPattern::Exact(name)) => name == host,
        Some(HostPattern::Wildcard(suffix)) => host
            .strip_suffix(suffix.as_str())
            .and_then(|labels| labels.strip_suffix('.'))
            .is_some_and(|labels| !labels.is_empty()),
    }
}

fn path_fits(pattern: Option<&PathPattern>, path: &str) -> bool {
    match pattern {
        None => true,
        Some(PathPattern::Exact(exact)) => exact == path,
        Some(PathPattern::Prefix(prefix)) => has_prefix(path, prefix),
    }
}

/// For the patterns that `matches` below makes: every wanted value is 1.
fn conditions_fit(matches: &Match, request: &Request<'_>) -> bool {
    let named = |list: &[String], name| list.is_empty() || list.iter().any(|entry| entry == name);
    let field = |name: &str, text: &str| request.fields.contains(&(name, text));
    let client = |network: &IpNet| network.contains(&request.client);
    named(&matches.methods, request.method)
        && named(&matches.listeners, request.listener)
        && matches.headers.iter().all(|(name, _)| field(name, "1"))
        && matches
            .cookies
            .iter()
            .all(|(name, _)| field("cookie", &format!("{name}=1")))
        && matches
            .query
            .iter()
            .all(|(name, _)| request.query == Some(&*format!("{name}=1")))
        && (matches.clients.is_empty() || matches.clients.iter().any(client))
}

const HOSTS: [&str; 5] = ["a", "b", "x.a", "y.x.a", "z.y.x.a"];
const PATHS: [&str; 7] = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "*"];

fn matches() -> impl Strategy<Value = Match> {
    let hosts = subsequence(
        vec![
            HostPattern::Exact("a".into()),
            HostPattern::Exact("y.x.a".into()),
            HostPattern::Wildcard("a".into()),
            HostPattern::Wildcard("x.a".into()),
            HostPattern::Wildcard("y.x.a".into()),
        ],
        0..=2,
    );
    let prefix = |prefix: &str| PathPattern::Prefix(prefix.into());
    let mut paths: Vec<_> = PATHS
        .iter()
        .map(|path| PathPattern::Exact((*path).into()))
        .collect();
    paths.extend([prefix(""), prefix("/a"), prefix("/a/b"), prefix("/a/")]);
    let networks = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"].map(|text| text.parse().unwrap());
    let values = |names: [&str; 2]| {
        let pairs = names.map(|name| (name.to_owned(), ValuePattern::Exact("1".into())));
        few(pairs.to_vec())
    };
    let words = |words: [&str; 2]| few(words.map(str::to_owned).to_vec());
    (
        hosts,
        subsequence(paths, 0..=2),
        (words(["GET", "PUT"]), words(["web", "inner"])),
        few(networks.to_vec()),
        (values(["x", "y"]), values(["c", "d"]), values(["q", "r"])),
    )
        .prop_map(
            |(hosts, paths, (methods, listeners), clients, (headers, cookies, query))| Match {
                hosts,
                paths,
                methods,
                headers,
                cookies,
                query,
                clients,
                listeners,
            },
        )
}

/// Mostly none of the list, sometimes one or two.
fn few<T: Clone + std::fmt::Debug + 'static>(list: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![4 => Just(Vec::new()), 1 => subsequence(list, 1..=2)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_router_agrees_with_looking_at_every_route(
        matches in proptest::collection::vec(matches(), 0..24),
        method in select(vec!["GET", "PUT"]),
        query in select(vec![None, Some("q=1"), Some("r=1")]),
        fields in subsequence(vec![("x", "1"), ("y", "1"), ("cookie", "c=1"), ("cookie", "d=1")], 0..=4),
        client in select(vec![[10, 1, 2, 3], [10, 1, 9, 9], [10, 9, 9, 9], [11, 0, 0, 1]]),
        listener in select(vec!["web", "inner"]),
    ) {
        let routes: Vec<Route> = matches.into_iter().map(route).collect();
        let router = Router::build(&routes);
        for host in HOSTS {
            for path in PATHS {
                let client = client.into();
                let request =
                    Request { method, host, path, query, fields: &fields, client, listener };
                prop_assert_eq!(router.find(&request), reference(&routes, &request));
            }
        }
    }
}
