use std::path::Path;

use super::*;
use crate::control::source::Loaded;
use crate::endpoint::Health;
use crate::metrics::Hub;

const POLICY: &str = r#"
    [listener.web]
    bind = ":8080"
    [listener.old]
    bind = ":80"
    redirect = "https"
    [listener.db]
    bind = ":5432"
    protocol = "tcp"
    pool = "db"
    [[route]]
    match = { host = "shop.example.com", path = "/v1/*", method = "POST", header = { x-beta = "on" } }
    pool = "beta"
    name = "beta"
    [[route]]
    match = { host = "shop.example.com", path = "/v1/*", method = "POST" }
    pool = "app"
    name = "post"
    [[route]]
    match = { host = "shop.example.com", path = "/v1/admin" }
    respond = { status = 403 }
    name = "admin"
    [[route]]
    match = { host = "shop.example.com" }
    pool = "app"
    name = "shop"
    [[route]]
    match = { host = "*.example.org" }
    pool = "app"
    name = "others"
    [pool.app]
    backends = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    [pool.beta]
    balance = "hash"
    hash = { header = "x-user" }
    backends = ["10.0.1.1:80", "10.0.1.2:80"]
    [pool.db]
    backends = ["10.0.2.1:80"]
"#;

fn look(down: &[&str]) -> Look {
    looked_at(POLICY, down, |_| ())
}

/// The state of a switch whose other backends are up, after `then`.
fn looked_at(text: &str, down: &[&str], then: impl Fn(&Snapshot)) -> Look {
    let policy = Policy::from_toml(text, Path::new("test.toml"));
    let loaded = Loaded {
        policy: Arc::new(policy.expect("the policy is right")),
        tls: Default::default(),
        clients: Default::default(),
    };
    let mut state = State::new(loaded, Hub::new(100));
    for pool in &state.snapshot().pools {
        for member in &pool.members {
            let is_down = down.contains(&member.endpoint.name.as_str());
            let health = if is_down { Health::Down } else { Health::Up };
            state.set_health(member.endpoint.id, health);
        }
    }
    state.publish();
    then(&state.snapshot());
    let listeners = state.policy().listeners.iter();
    let bound = listeners.map(|one| (one.name.clone(), one.bind[0].clone()));
    let addresses = bound.collect();
    Look::at(&state, addresses, None)
}

fn ask(pairs: &[(&str, &str)]) -> Result<Explained, String> {
    let pairs = pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
    look(&["10.0.0.3:80"]).explain(&Question::read(pairs.collect())?)
}

#[test]
fn a_route_is_told_with_what_holds_and_what_came_before_it() {
    let url = ("url", "http://shop.example.com:8080/v1/x?y=1");
    let explained = ask(&[url, ("method", "POST")]).expect("it can be told");
    assert_eq!(explained.listener.name, "web");
    let route = explained.route.expect("there is one");
    assert_eq!(route.name, "post");
    let held = [
        "host = \"shop.example.com\"",
        "path = \"/v1/*\"",
        "method = [\"POST\"]",
    ];
    assert_eq!(route.conditions, held);
    let passed: Vec<_> = explained
        .passed_over
        .iter()
        .map(|one| (one.route.as_str(), one.condition.as_str()))
        .collect();
    let expected = [
        ("beta", "header x-beta = \"on\""),
        ("admin", "path = [\"/v1/admin\"]"),
    ];
    assert_eq!(passed, expected);
    assert_eq!(explained.not_matching, 1);
}

#[test]
fn candidates_share_and_the_others_say_why_not() {
    let url = ("url", "http://shop.example.com:8080/");
    let pool = ask(&[url])
        .expect("it can be told")
        .pool
        .expect("there is one");
    let shares: Vec<_> = pool.backends.iter().map(|one| one.share).collect();
    assert_eq!((shares, pool.chosen), (vec![0.5, 0.5, 0.0], None));
    assert_eq!(pool.backends[2].why, "down");
}

#[test]
fn a_hash_pool_is_certain_when_the_request_has_what_is_hashed() {
    let url = ("url", "http://shop.example.com:8080/v1/x");
    let mut pairs = vec![url, ("method", "POST"), ("header", "X-Beta: on")];
    let pool = ask(&pairs)
        .expect("it can be told")
        .pool
        .expect("there is one");
    assert_eq!((pool.name.as_str(), pool.chosen), ("beta", None));
    pairs.push(("header", "X-User: 7"));
    let pool = ask(&pairs)
        .expect("it can be told")
        .pool
        .expect("there is one");
    assert!(pool.chosen.is_some());
}

#[test]
fn listeners_are_found_by_port_and_do_what_they_do() {
    let old = ask(&[("url", "http://shop.example.com/")]).expect("it can be told");
    assert_eq!((old.listener.name.as_str(), old.route), ("old", None));
    assert!(old.outcome.contains("redirects"), "{}", old.outcome);
    let url = ("url", "http://shop.example.com/");
    let db = ask(&[url, ("listener", "db")]).expect("it can be told");
    assert_eq!(
        db.pool.expect("there is one").chosen.as_deref(),
        Some("10.0.2.1:80")
    );
    let wrong = ask(&[url, ("listener", "dc")]).expect_err("there is none");
    assert!(wrong.contains("web, old, db"), "{wrong}");
    let unclear = ask(&[("url", "http://shop.example.com:1/")]).expect_err("two would do");
    assert!(unclear.contains("--listener"), "{unclear}");
}

#[test]
fn what_no_route_takes_and_what_is_answered_here_is_told() {
    let none = ask(&[("url", "http://nobody.example:8080/")]).expect("it can be told");
    assert!(none.outcome.contains("404") && none.route.is_none());
    assert_eq!(none.not_matching, 5);
    let admin = ask(&[("url", "http://shop.example.com:8080/v1/admin")]);
    assert_eq!(admin.expect("it can be told").outcome, "answered here: 403");
    let wild = ask(&[("url", "http://a.b.example.org:8080/")]).expect("it can be told");
    assert_eq!(wild.route.expect("there is one").name, "others");
}

const HARD_TIMES: &str = r#"
    [listener.web]
    bind = ":8080"
    [[route]]
    pool = "app"
    limit = { rate = "100/s", by = { header = "x-key" } }
    [pool.app]
    panic = "fail"
    limit = { requests = 1 }
    backends = ["10.0.0.1:80", "10.0.0.2:80", { addr = "10.0.0.3:80", priority = 3 }]
"#;

#[test]
fn who_stands_by_and_who_is_full_is_told() {
    let url = ("url".to_owned(), "http://a:8080/".to_owned());
    let question = Question::read(vec![url]).expect("a question");
    let enter = |snapshot: &Snapshot| {
        std::mem::forget(snapshot.pools[0].members[0].endpoint.enter());
    };
    let explained = looked_at(HARD_TIMES, &[], enter).explain(&question);
    let explained = explained.expect("it can be told");
    let route = explained.route.expect("there is one");
    let limit = route.limit.expect("it is limited");
    assert!(
        limit.contains("100 requests in 1 s") && limit.contains("x-key"),
        "{limit}"
    );
    let pool = explained.pool.expect("there is one");
    let why: Vec<_> = pool.backends.iter().map(|one| one.why.as_str()).collect();
    let full = "a candidate, but as much is under way there as its limit allows";
    let behind = "stands by: those before priority 3 take everything";
    assert_eq!(why, [full, "a candidate", behind]);
    assert_eq!(
        (pool.panic, pool.chosen.as_deref()),
        (None, Some("10.0.0.2:80"))
    );
}

#[test]
fn panic_is_told_with_what_it_means() {
    let url = ("url".to_owned(), "http://a:8080/".to_owned());
    let question = Question::read(vec![url]).expect("a question");
    let down = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    let explained = looked_at(HARD_TIMES, &down, |_| ()).explain(&question);
    let pool = explained
        .expect("it can be told")
        .pool
        .expect("there is one");
    let panic = pool.panic.expect("nobody is well");
    assert!(panic.contains("every request is refused"), "{panic}");
    assert_eq!(pool.chosen, None);
}

#[test]
fn a_question_is_read_whole_or_not_at_all() {
    let bad = [
        ("url", "shop.example.com"),
        ("url", "ftp://shop.example.com/"),
        ("client", "me"),
        ("header", "no colon"),
        ("header", "bad name: x"),
        ("method", "G T"),
        ("moon", "full"),
    ];
    for pair in bad {
        let good = ("url", "http://shop.example.com/");
        let pairs = [good, pair].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert!(Question::read(pairs.to_vec()).is_err(), "{pair:?}");
    }
    assert!(Question::read(Vec::new()).is_err());
}
