use super::*;
use crate::balance::{Choice, Tried, hash_bytes};
use crate::control::testing;
use crate::endpoint::Address;

fn state(backends: &[&str]) -> State {
    State::new(testing::loaded(backends), Hub::new(100))
}

/// What is told of `app.test`.
fn found(addresses: &[&str]) -> Found {
    let backend = |address: &&str| Backend {
        name: (*address).to_owned(),
        addr: BackendAddr::Socket(address.parse().expect("an address")),
        weight: 1,
        priority: 0,
    };
    Found {
        source: Discover::name("app.test", 80),
        backends: Ok(addresses.iter().map(backend).collect()),
    }
}

fn adopt(state: &mut State, mut loaded: Loaded) {
    let frame = state.draft(&mut loaded);
    state.adopt(loaded, frame);
}

#[test]
fn a_change_of_health_rebuilds_only_its_pool_and_keeps_the_routes() {
    let mut loaded = testing::policy(&["10.0.0.1:80"]);
    let mut other = loaded.pools[0].clone();
    other.name = "other".into();
    loaded.pools.push(other);
    let loaded = Loaded {
        policy: Arc::new(loaded),
        tls: Default::default(),
        clients: Default::default(),
    };
    let mut state = State::new(loaded, Hub::new(100));
    let before = state.snapshot();
    assert!(state.set_health(before.pools[0].members[0].endpoint.id, Health::Up));
    state.publish();
    let after = state.snapshot();
    assert_eq!(after.generation, before.generation + 1);
    assert!(Arc::ptr_eq(&before.routes, &after.routes));
    assert!(!Arc::ptr_eq(&before.pools[0], &after.pools[0]));
    assert!(Arc::ptr_eq(&before.pools[1], &after.pools[1]));
    assert_eq!(after.pools[0].members[0].health, Health::Up);
}

#[test]
fn a_reload_keeps_pools_and_listeners_that_are_the_same() {
    let mut state = state(&["10.0.0.1:80"]);
    let before = state.snapshot();
    adopt(&mut state, testing::loaded(&["10.0.0.1:80"]));
    let same = state.snapshot();
    assert!(Arc::ptr_eq(&before.pools[0], &same.pools[0]));
    assert!(Arc::ptr_eq(&before.listeners[0], &same.listeners[0]));
    adopt(&mut state, testing::loaded(&["10.0.0.1:80", "10.0.0.2:80"]));
    let more = state.snapshot();
    assert!(!Arc::ptr_eq(&before.pools[0], &more.pools[0]));
    let (old, new) = (&before.pools[0].members[0], &more.pools[0].members[0]);
    assert!(Arc::ptr_eq(&old.endpoint, &new.endpoint));
}

#[test]
fn the_next_process_begins_with_what_was_known() {
    let backends = ["10.0.0.1:80", "10.0.0.2:80", "app.test:80"];
    let mut before = state(&backends);
    let endpoints = before.endpoints();
    before.set_health(endpoints[0].id, Health::Up);
    before.set_health(endpoints[1].id, Health::Down);
    assert!(before.learn(found(&["10.0.0.3:80"])));
    before.publish();
    before.set_health(before.endpoints()[2].id, Health::Up);

    let known = serde_json::to_string(&before.known()).expect("it can be written");
    let mut after = state(&["10.0.0.9:80", "app.test:80", "10.0.0.2:80"]);
    after.inherit(serde_json::from_str(&known).expect("it can be read"));
    let snapshot = after.snapshot();
    let states = snapshot.pools[0].members.iter().map(|member| member.health);
    let expected = [Health::Starting, Health::Up, Health::Down];
    assert_eq!(states.collect::<Vec<_>>(), expected);
}

#[test]
fn a_draft_changes_nothing() {
    let state = state(&["10.0.0.1:80"]);
    let before = state.snapshot();
    let _ = state.draft(&mut testing::loaded(&["10.0.0.9:80"]));
    assert!(Arc::ptr_eq(&before, &state.snapshot()));
}

#[test]
fn an_unresolved_backend_is_not_checked_and_holds_nothing_up() {
    let mut state = state(&["app.test:80"]);
    assert!(state.checks(|_| None).is_empty());
    assert!(!state.is_checked(), "nobody knows yet");
    let failed = Found {
        backends: Err("no answer".into()),
        ..found(&[])
    };
    assert!(!state.learn(failed));
    assert!(state.is_checked());
    assert!(state.learn(found(&["10.0.0.1:80"])));
    state.publish();
    assert_eq!(state.checks(|_| None).len(), 1);
}

/// A state of this policy in which `app.test` has these addresses, and all but 10.0.0.4 are up.
fn settled(policy: &str, addresses: &[&str]) -> State {
    let policy = Policy::from_toml(policy, std::path::Path::new("test.toml"));
    let loaded = Loaded {
        policy: Arc::new(policy.expect("the policy is right")),
        tls: Default::default(),
        clients: Default::default(),
    };
    let mut state = State::new(loaded, Hub::new(100));
    assert!(state.learn(found(addresses)));
    state.publish();
    for endpoint in state.endpoints() {
        let is_up = endpoint.address != Address::Tcp(([10, 0, 0, 4], 80).into());
        let health = if is_up { Health::Up } else { Health::Down };
        state.set_health(endpoint.id, health);
    }
    state.publish();
    state
}

/// Where the key goes, and where it goes when that fails.
fn places(state: &State, key: &str, entropy: u64) -> [Address; 2] {
    let snapshot = state.snapshot();
    let mut pools = snapshot.pools.iter();
    let pool = pools.find(|pool| pool.name == "app").expect("it is there");
    let mut tried = Tried::default();
    [0, 1].map(|attempt| {
        let choice = Choice {
            cursor: entropy + attempt,
            entropy,
            hash: Some(hash_bytes(key.as_bytes())),
            now: 0,
            tried: &tried,
        };
        let endpoint = pool.pick(&choice).expect("one is up").clone();
        tried.insert(endpoint.id);
        endpoint.address.clone()
    })
}

#[test]
fn two_switches_send_the_same_key_to_the_same_backend_whatever_the_order_of_their_files() {
    let one = r#"
        [listener.web]
        bind = "127.0.0.1:0"
        [[route]]
        pool = "app"
        [pool.app]
        balance = "hash"
        hash = { cookie = "user" }
        backends = ["10.0.0.1:80", { addr = "10.0.0.2:80", weight = 3 }, "10.0.0.4:80",
            { addr = "10.0.0.3:80", name = "three" }, "app.test:80"]
    "#;
    let other = r#"
        [pool.other]
        backends = ["10.0.0.9:80", "10.0.0.1:80"]
        [pool.app]
        backends = ["app.test:80", { addr = "10.0.0.3:80", name = "three" }, "10.0.0.4:80",
            { addr = "10.0.0.2:80", weight = 3 }, "10.0.0.1:80"]
        hash = { cookie = "user" }
        balance = "hash"
        [[route]]
        match = { path = "/other" }
        pool = "other"
        [[route]]
        pool = "app"
        [listener.more]
        bind = "127.0.0.1:0"
        [listener.web]
        bind = "127.0.0.2:0"
    "#;
    let one = settled(one, &["10.1.0.1:80", "10.1.0.2:80"]);
    let other = settled(other, &["10.1.0.2:80", "10.1.0.1:80"]);
    let mut chosen = std::collections::HashSet::new();
    for key in 0..2000u64 {
        let name = format!("user-{key}");
        let places = places(&one, &name, key);
        assert_eq!(places, self::places(&other, &name, !key >> 1), "{name}");
        chosen.insert(places[0].clone());
    }
    assert_eq!(chosen.len(), 5, "all that are up");
}
