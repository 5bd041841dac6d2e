//! What the keepers of two switches tell each other of connections.

use std::collections::BTreeSet;

use super::*;
use crate::control::direct::mirror::{FlowPart, MAX_MIRRORED, ToldFlow};

fn flow(port: u16, idle: u64) -> Flow {
    Flow {
        client: SocketAddr::new(Ipv4Addr::new(198, 51, 100, 1).into(), port),
        service: key(),
        idle: Duration::from_secs(idle),
        closed: false,
    }
}

fn held(addresses: &[IpAddr]) -> Option<BTreeSet<IpAddr>> {
    Some(addresses.iter().copied().collect())
}

/// The holder of the address, whose backend 22 is being drained and has these flows.
fn holder(flows: &[Flow], now: Instant) -> (Shared, Keeper<Shared, Shared>) {
    let shared = world();
    let mut keeper = keeper(&shared, now);
    keeper.hold(held(&[key().address]));
    keeper.want(wanted(&[(21, Active), (22, Draining)]), now);
    keeper.work(now);
    shared.world().flows.insert(2, flows.to_vec());
    (shared, keeper)
}

/// A standby, which knows 22 under another number.
fn standby(now: Instant) -> (Shared, Keeper<Shared, Shared>) {
    let shared = world();
    let mut keeper = keeper(&shared, now);
    keeper.hold(held(&[]));
    keeper.want(wanted(&[(22, Active), (23, Active)]), now);
    keeper.work(now);
    keeper.want(wanted(&[(22, Draining), (23, Active)]), now);
    keeper.work(now);
    (shared, keeper)
}

fn count(keeper: &mut Keeper<Shared, Shared>, now: Instant) -> Option<Vec<FlowPart>> {
    keeper.next_count = now;
    keeper.work(now);
    keeper.told_flows()
}

fn ports(shared: &Shared, id: u16) -> Vec<u16> {
    let flows = shared.world().flows.get(&id).cloned().unwrap_or_default();
    let mut ports: Vec<u16> = flows.iter().map(|flow| flow.client.port()).collect();
    ports.sort_unstable();
    ports
}

fn hear(keeper: &mut Keeper<Shared, Shared>, parts: &[FlowPart], now: Instant) {
    let from = ip(11);
    parts
        .iter()
        .for_each(|part| keeper.hear_flows(from, part, now));
}

fn ignored(keeper: &Keeper<Shared, Shared>, reason: &str) -> u64 {
    let all = keeper.mirrored.figures().2;
    all.iter().find(|(word, _)| *word == reason).unwrap().1
}

#[test]
fn a_standby_has_the_flows_of_a_draining_backend_until_they_end() {
    let now = Instant::now();
    let (there, mut holder) = holder(&[flow(1, 3), flow(2, 700), flow(3, 0)], now);
    let (here, mut standby) = standby(now);
    let parts = count(&mut holder, now).expect("there is something to tell");
    hear(&mut standby, &parts, now);
    // The second one has been silent for too long.
    assert_eq!(ports(&here, 1), [1, 3]);
    assert_eq!(holder.mirrored.figures().0, 2);
    assert_eq!(standby.mirrored.figures().1, 2);

    let later = now + Duration::from_secs(5);
    assert_eq!(count(&mut holder, later), None, "nothing is new");
    there.world().flows.insert(2, vec![flow(3, 0), flow(4, 0)]);
    let parts = count(&mut holder, later).expect("one has come and one has gone");
    hear(&mut standby, &parts, later);
    assert_eq!(ports(&here, 1), [3, 4]);

    there.world().flows.clear();
    let parts = count(&mut holder, later).expect("the drain is over");
    hear(&mut standby, &parts, later);
    assert_eq!(ports(&here, 1), [0; 0]);
    assert_eq!(
        count(&mut holder, later + LONG),
        None,
        "nothing is left to tell"
    );
}

#[test]
fn what_goes_on_is_told_again_before_it_looks_silent() {
    let now = Instant::now();
    let (_there, mut holder) = holder(&[flow(1, 0)], now);
    count(&mut holder, now).expect("there is something to tell");
    let mut told = Vec::new();
    for second in 1..=30 {
        let parts = count(&mut holder, now + Duration::from_secs(second));
        told.extend(parts.map(|_| second));
    }
    assert_eq!(told, [10, 20, 30]);
}

#[test]
fn who_does_not_hold_the_address_tells_nothing_and_takes_nothing_back() {
    let now = Instant::now();
    let (_there, mut holder) = holder(&[flow(1, 0)], now);
    let (here, mut standby) = standby(now);
    let parts = count(&mut holder, now).expect("there is something to tell");
    hear(&mut standby, &parts, now);
    assert_eq!(count(&mut standby, now), None);

    // A handover: the former holder is silent, and the new one tells what it was told.
    holder.hold(held(&[]));
    standby.hold(held(&[key().address]));
    let later = now + Duration::from_secs(25);
    assert_eq!(
        count(&mut holder, later),
        Some(vec![]),
        "nobody is told that they have ended"
    );
    assert_eq!(count(&mut holder, later), None);
    let parts = count(&mut standby, later).expect("it is the holder");
    let told: Vec<ToldFlow> = parts.iter().flat_map(FlowPart::told).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(ports(&here, 1), [1]);
}

#[test]
fn two_that_hold_the_address_do_not_tell_each_other_what_they_were_told() {
    let now = Instant::now();
    let (_there, mut one) = holder(&[flow(1, 0)], now);
    let (here, mut other) = standby(now);
    other.hold(held(&[key().address]));
    let parts = count(&mut one, now).expect("there is something to tell");
    hear(&mut other, &parts, now);
    assert_eq!(count(&mut other, now + SETTLING), None);
    // Packets of it come here from now on.
    here.world().flows.insert(1, vec![flow(1, 0)]);
    let later = now + Duration::from_secs(6);
    assert_eq!(count(&mut other, later).map(|parts| parts.len()), Some(1));
}

#[test]
fn a_round_with_a_gap_ends_nothing() {
    let now = Instant::now();
    let (here, mut standby) = standby(now);
    let owner = identity(22).number();
    let flows: Vec<ToldFlow> = (1..=2000)
        .map(|port| ToldFlow {
            client: flow(port, 0).client,
            owner,
            idle: 0,
        })
        .collect();
    hear(&mut standby, &FlowPart::all_of(key(), 1, &flows), now);
    assert_eq!(ports(&here, 1).len(), 2000);
    let mut parts = FlowPart::all_of(key(), 2, &flows);
    parts.remove(1);
    hear(&mut standby, &parts, now);
    assert_eq!(ports(&here, 1).len(), 2000);
    hear(&mut standby, &FlowPart::all_of(key(), 3, &flows[..10]), now);
    assert_eq!(ports(&here, 1).len(), 10);
}

#[test]
fn what_is_unknown_malformed_or_too_much_is_passed_over_and_counted() {
    let now = Instant::now();
    let (here, mut standby) = standby(now);
    let told = |port: u16, owner: Identity| ToldFlow {
        client: flow(port, 0).client,
        owner: owner.number(),
        idle: 0,
    };
    let other = Key { port: 81, ..key() };
    hear(
        &mut standby,
        &FlowPart::all_of(other, 1, &[told(1, identity(22))]),
        now,
    );
    assert_eq!(ignored(&standby, "unknown-service"), 1);
    let strange = Identity {
        pool: "other".to_owned(),
        ..identity(22)
    };
    let six = ToldFlow {
        client: "[2001:db8::1]:5".parse().expect("an address"),
        ..told(1, identity(22))
    };
    let flows = [
        told(1, identity(99)),
        told(2, strange),
        told(0, identity(22)),
        six,
    ];
    hear(&mut standby, &FlowPart::all_of(key(), 1, &flows), now);
    assert_eq!(ignored(&standby, "unknown-backend"), 2);
    assert_eq!(ignored(&standby, "malformed"), 2);
    assert_eq!(ports(&here, 1), [0; 0]);

    let many = (0..=u16::MAX).flat_map(|port| {
        let client = |last| SocketAddr::new(Ipv4Addr::new(198, 51, 100, last).into(), port.max(1));
        [1, 2].map(|last| ToldFlow {
            client: client(last),
            ..told(1, identity(22))
        })
    });
    let many: Vec<ToldFlow> = many.take(MAX_MIRRORED + 1000).collect();
    let mut standby = {
        let mut fresh = keeper(&world(), now);
        fresh.want(wanted(&[(22, Draining)]), now);
        fresh.work(now);
        fresh
    };
    // Without a list to search for each: what the kernel keeps is not looked at here.
    standby.path.world().refuses = Some("flows");
    hear(&mut standby, &FlowPart::all_of(key(), 1, &many), now);
    assert_eq!(standby.mirrored.figures().1, MAX_MIRRORED);
    assert!(ignored(&standby, "too-many") >= 900);
    standby.missed_flows(7);
    assert_eq!(ignored(&standby, "overflow"), 7);
}

#[test]
fn a_backend_that_is_taken_out_of_the_policy_waits_for_what_others_tell() {
    let now = Instant::now();
    let (here, mut standby) = standby(now);
    standby.want(wanted(&[(23, Active)]), now);
    count(&mut standby, now);
    count(&mut standby, now + COUNTING);
    let told = ToldFlow {
        client: flow(1, 0).client,
        owner: identity(22).number(),
        idle: 0,
    };
    hear(
        &mut standby,
        &FlowPart::all_of(key(), 1, &[told]),
        now + COUNTING,
    );
    assert_eq!(ports(&here, 1), [1]);
    assert_eq!(shown(&here), [(22, Draining, false), (23, Active, true)]);
    here.world().flows.clear();
    let later = now + Duration::from_secs(61);
    count(&mut standby, later);
    count(&mut standby, later);
    assert_eq!(shown(&here), [(23, Active, true)]);
}
