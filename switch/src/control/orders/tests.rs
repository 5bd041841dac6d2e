use super::*;
use crate::control::testing;
use crate::endpoint::{Duty, Health};
use crate::metrics::Hub;

/// A state of these backends, all of them up.
fn state(backends: &[&str]) -> State {
    let mut state = State::new(testing::loaded(backends), Hub::new(100));
    for member in &state.snapshot().pools[0].members {
        state.set_health(member.endpoint.id, Health::Up);
    }
    state.publish();
    state
}

fn asked(backend: &str, order: Order) -> BackendOrder {
    BackendOrder {
        pool: "app".to_owned(),
        backend: backend.to_owned(),
        order,
        why: "deploy".to_owned(),
        time: None,
        force: false,
    }
}

fn duties(state: &State) -> Vec<Duty> {
    let snapshot = state.snapshot();
    let members = snapshot.pools[0].members.iter();
    members.map(|member| member.duty).collect()
}

const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";

#[test]
fn an_order_comes_into_force_and_outlives_a_reload() {
    let mut state = state(&[ONE, TWO]);
    let done = carry_out(&mut state, &asked(ONE, Order::Drain)).expect("one is left");
    assert_eq!((done.duty.as_str(), done.in_flight), ("draining", 0));
    assert!(done.text.contains("deploy"), "{}", done.text);
    state.publish();
    assert_eq!(duties(&state), [Duty::Draining, Duty::Active]);
    assert_eq!(state.snapshot().pools[0].candidates.len(), 1);
    let mut loaded = testing::loaded(&[TWO, ONE]);
    let frame = state.draft(&mut loaded);
    state.adopt(loaded, frame);
    assert_eq!(duties(&state), [Duty::Active, Duty::Draining]);
    carry_out(&mut state, &asked(ONE, Order::Enable)).expect("it is known");
    state.publish();
    assert_eq!(duties(&state), [Duty::Active; 2]);
}

#[test]
fn the_next_process_goes_on_with_what_was_laid_over() {
    let mut before = state(&[ONE, TWO]);
    carry_out(&mut before, &asked(ONE, Order::Drain)).expect("one is left");
    carry_out(&mut before, &asked(TWO, Order::Weight(7))).expect("one is left");
    let known = serde_json::to_string(&before.known()).expect("it can be written");
    let mut after = state(&[ONE, TWO]);
    after.inherit(serde_json::from_str(&known).expect("it can be read"));
    assert_eq!(duties(&after), [Duty::Draining, Duty::Active]);
    assert_eq!(after.snapshot().pools[0].members[1].weight, 7);
    let events = after.journal().after(0, 9).events;
    assert_eq!(events.len(), 2, "it knows what has happened");
}

#[test]
fn the_last_one_that_can_serve_is_not_taken_out_unless_forced() {
    let mut state = state(&[ONE, TWO]);
    let id = state.snapshot().pools[0].members[1].endpoint.id;
    state.set_health(id, Health::Down);
    state.publish();
    for order in [Order::Drain, Order::Disable, Order::Weight(0)] {
        let refused = carry_out(&mut state, &asked(ONE, order));
        assert!(matches!(refused, Err(Refusal::Unsafe(_))), "{refused:?}");
    }
    carry_out(&mut state, &asked(TWO, Order::Drain)).expect("it serves nobody now");
    let forced = BackendOrder {
        force: true,
        ..asked(ONE, Order::Disable)
    };
    carry_out(&mut state, &forced).expect("it is forced");
    state.publish();
    assert_eq!(duties(&state), [Duty::Disabled, Duty::Draining]);
    assert_eq!(state.take_to_cut().len(), 1, "once");
    state.publish();
    assert!(state.take_to_cut().is_empty());
}

#[test]
fn an_unknown_pool_or_backend_is_told_with_those_there_are() {
    let mut state = state(&[ONE, TWO]);
    let Err(Refusal::Unknown(why)) = carry_out(&mut state, &asked("three", Order::Drain)) else {
        panic!("there is no such backend");
    };
    assert!(why.contains(ONE) && why.contains(TWO), "{why}");
    let other = BackendOrder {
        pool: "ap".to_owned(),
        ..asked(ONE, Order::Drain)
    };
    let Err(Refusal::Unknown(why)) = carry_out(&mut state, &other) else {
        panic!("there is no such pool");
    };
    assert!(why.contains("pools: app"), "{why}");
}

#[test]
fn an_order_whose_backend_has_vanished_is_told_of_and_can_be_taken_back() {
    let mut state = state(&[ONE, TWO]);
    carry_out(&mut state, &asked(ONE, Order::Drain)).expect("one is left");
    let mut loaded = testing::loaded(&[TWO]);
    let frame = state.draft(&mut loaded);
    state.adopt(loaded, frame);
    tell_of_stray(&mut state);
    let events = state.journal().after(0, 9).events;
    let last = events.last().expect("it was told");
    assert_eq!(
        (last.event.as_str(), last.level.as_str()),
        ("overlay-stray", "warning")
    );
    carry_out(&mut state, &asked(ONE, Order::Enable)).expect("it is known still");
    assert!(state.overlay().export(false, SystemTime::now()).is_empty());
}

#[test]
fn what_another_switch_exports_comes_into_force_here() {
    let (mut one, mut other) = (state(&[ONE, TWO]), state(&[ONE, TWO]));
    carry_out(&mut one, &asked(ONE, Order::Drain)).expect("one is left");
    assert_eq!(other.adopt_overlay(one.export_overlay()).len(), 1);
    assert!(other.adopt_overlay(one.export_overlay()).is_empty());
    other.publish();
    assert_eq!(duties(&other), [Duty::Draining, Duty::Active]);
}
