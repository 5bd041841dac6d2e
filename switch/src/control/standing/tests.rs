use std::path::Path;

use pointsman_config::policy::Policy;

use super::*;
use crate::control::source::Loaded;
use crate::control::state::State;
use crate::control::upgrade::Known;
use crate::endpoint::State as EndpointState;
use crate::metrics::Hub;

fn loaded(backends: &str, rest: &str) -> Loaded {
    let text = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n\
         [pool.app]\nbackends = [{backends}]\n{rest}\n"
    );
    let policy = Policy::from_toml(&text, Path::new("test.toml"));
    Loaded {
        policy: Arc::new(policy.expect("the policy is right")),
        tls: Default::default(),
        clients: Default::default(),
    }
}

const THREE: &str = "\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.3:80\"";
const SLOW: &str = "slow_start = \"18s\"\neject = { for = \"1s\" }";

fn state(backends: &str, rest: &str) -> State {
    let mut state = State::new(loaded(backends, rest), Hub::new(100));
    for endpoint in endpoints(&state) {
        state.set_health(endpoint.id, Health::Up);
    }
    state.publish();
    state
}

fn reload(state: &mut State, backends: &str, rest: &str) {
    let mut loaded = loaded(backends, rest);
    let frame = state.draft(&mut loaded);
    state.adopt(loaded, frame);
}

fn endpoints(state: &State) -> Vec<Arc<Endpoint>> {
    let snapshot = state.snapshot();
    let members = snapshot.pools[0].members.iter();
    members.map(|member| member.endpoint.clone()).collect()
}

fn states(state: &State) -> Vec<EndpointState> {
    let snapshot = state.snapshot();
    let members = snapshot.pools[0].members.iter();
    members.map(Member::state).collect()
}

/// Weights of the candidates.
fn weights(state: &State) -> Vec<u32> {
    let snapshot = state.snapshot();
    let candidates = snapshot.pools[0].candidates.iter();
    candidates.map(|candidate| candidate.weight).collect()
}

use EndpointState::{Down as D, Ejected as E, SlowStart as L, Starting as S, Up as U};

#[test]
fn an_ejected_endpoint_leaves_the_candidates_and_returns_on_probation() {
    let mut state = state(THREE, "eject = { for = \"1s\", errors = 3 }");
    let two = endpoints(&state)[1].clone();
    let now = Instant::now();
    assert!(state.erred(&two, "status", now));
    state.publish();
    assert_eq!(states(&state), [U, E, U]);
    assert_eq!(weights(&state), [1, 1]);
    assert!(!state.advance(now + Duration::from_millis(500)));
    assert!(state.advance(now + Duration::from_millis(1200)));
    state.publish();
    assert_eq!(states(&state), [U, U, U]);
    assert_eq!(
        two.errors.failed(),
        3,
        "its next error is the third in a row"
    );
}

#[test]
fn who_comes_back_from_ejection_or_failure_begins_slowly() {
    let mut state = state(THREE, SLOW);
    let all = endpoints(&state);
    assert_eq!(states(&state), [U, U, U], "not at the start of the process");
    let now = Instant::now();
    state.erred(&all[0], "reset", now);
    state.set_health(all[1].id, Health::Down);
    state.publish();
    assert_eq!(states(&state), [E, D, U]);
    state.advance(now + Duration::from_millis(1200));
    state.set_health(all[1].id, Health::Up);
    state.publish();
    assert_eq!(states(&state), [L, L, U]);
    assert_eq!(weights(&state), [10_000, 10_000, 100_000]);
    state.advance(now + Duration::from_secs(11));
    state.publish();
    assert!(weights(&state)[0] > 45_000, "{:?}", weights(&state));
    state.advance(now + Duration::from_secs(25));
    state.publish();
    assert_eq!((states(&state), weights(&state)), (vec![U; 3], vec![1; 3]));
}

#[test]
fn what_a_reload_adds_beside_others_begins_slowly() {
    let mut state = state(THREE, SLOW);
    let four = format!("{THREE}, \"10.0.0.4:80\"");
    reload(&mut state, &four, SLOW);
    assert_eq!(states(&state), [U, U, U, S]);
    state.set_health(endpoints(&state)[3].id, Health::Up);
    state.publish();
    assert_eq!(states(&state), [U, U, U, L]);
}

#[test]
fn a_reload_keeps_ejections_and_slow_starts_and_takes_back_what_is_turned_off() {
    let mut state = state(THREE, SLOW);
    let all = endpoints(&state);
    state.erred(&all[0], "reset", Instant::now());
    state.set_health(all[1].id, Health::Down);
    state.set_health(all[1].id, Health::Up);
    state.publish();
    reload(&mut state, THREE, SLOW);
    assert_eq!(states(&state), [E, L, U]);
    reload(&mut state, THREE, "eject = false");
    assert_eq!((states(&state), weights(&state)), (vec![U; 3], vec![1; 3]));
}

#[test]
fn one_that_was_down_is_not_held_out_for_its_last_errors() {
    let mut state = state(THREE, "");
    let one = endpoints(&state)[0].clone();
    state.erred(&one, "connect_refused", Instant::now());
    state.set_health(one.id, Health::Down);
    state.publish();
    assert_eq!(states(&state), [D, U, U]);
    state.set_health(one.id, Health::Up);
    state.publish();
    assert_eq!(states(&state), [U, U, U]);
}

#[test]
fn the_next_process_and_other_switches_go_on_with_what_was_known() {
    let mut before = state(THREE, SLOW);
    let all = endpoints(&before);
    before.erred(&all[0], "reset", Instant::now());
    before.set_health(all[1].id, Health::Down);
    before.set_health(all[1].id, Health::Up);
    let known = serde_json::to_string(&before.known()).expect("it can be written");
    let known: Known = serde_json::from_str(&known).expect("it can be read");
    let mut after = State::new(loaded(THREE, SLOW), Hub::new(100));
    after.inherit(known.clone());
    assert_eq!(states(&after), [E, L, U]);
    let (_, times, cause) = after
        .ejected_until(&endpoints(&after)[0])
        .expect("it is out");
    assert_eq!((times, cause), (1, "reset"));

    let mut standby = state(THREE, "");
    assert!(standby.adopt_ejections(&known.ejections));
    assert!(!standby.adopt_ejections(&known.ejections), "no news");
    standby.publish();
    assert_eq!(states(&standby), [E, U, U]);
}

#[test]
fn what_another_version_tells_is_read_as_far_as_it_is_known() {
    let text = r#"{ "ejections": [{ "pool": "app", "backend": "10.0.0.1:80",
        "address": "10.0.0.1:80", "left": { "secs": 9, "nanos": 0 }, "times": 2,
        "cause": "moonlight", "mood": "bad" }] }"#;
    let known: Known = serde_json::from_str(text).expect("it can be read");
    let mut state = state(THREE, "");
    assert!(state.adopt_ejections(&known.ejections));
    let one = endpoints(&state)[0].clone();
    let (_, times, cause) = state.ejected_until(&one).expect("it is out");
    assert_eq!((times, cause), (2, "other"));
}

#[test]
fn panic_is_told_while_it_lasts() {
    let mut state = state(THREE, "health = {}\npanic_below = \"50%\"");
    let all = endpoints(&state);
    let panic = |state: &State| {
        state
            .hub()
            .encode()
            .contains("pointsman_panic{pool=\"app\"} 1")
    };
    state.set_health(all[0].id, Health::Down);
    state.publish();
    assert!(!panic(&state));
    state.set_health(all[1].id, Health::Down);
    state.publish();
    assert!(panic(&state));
    assert_eq!(weights(&state).len(), 3, "it spreads");
    state.set_health(all[0].id, Health::Up);
    state.publish();
    assert!(!panic(&state));
    assert_eq!(weights(&state).len(), 2);
}
