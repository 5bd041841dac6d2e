//! Backends that go: what they have is finished, and what begins finds somebody.

use super::*;

#[test]
fn a_backend_that_is_taken_out_of_the_policy_finishes_what_it_has() {
    let (shared, now) = (world(), Instant::now());
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(21, Active), (22, Active)]), now);
    keeper.work(now);
    let flow = Flow {
        client: "198.51.100.1:1024".parse().expect("an address"),
        service: key(),
        idle: Duration::ZERO,
        closed: false,
    };
    shared.world().flows.insert(2, vec![flow]);
    keeper.want(wanted(&[(21, Active)]), now);
    keeper.work(now);
    keeper.work(now + COUNTING);
    assert_eq!(shown(&shared), [(21, Active, true), (22, Draining, false)]);
    shared.world().flows.clear();
    keeper.work(now + COUNTING * 2);
    keeper.work(now + COUNTING * 2);
    assert_eq!(shown(&shared), [(21, Active, true)]);
}

#[test]
fn a_connection_that_is_only_just_beginning_outlives_the_departure_of_its_backend() {
    let (shared, now) = (world(), Instant::now());
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(21, Active), (22, Active)]), now);
    keeper.work(now);
    keeper.want(wanted(&[(21, Active)]), now);
    for after in [0, 1, 4] {
        keeper.work(now + Duration::from_secs(after));
        assert_eq!(shown(&shared), [(21, Active, true), (22, Draining, false)]);
    }
    keeper.work(now + COUNTING);
    keeper.work(now + COUNTING);
    assert_eq!(shown(&shared), [(21, Active, true)]);
}

#[test]
fn a_backend_takes_connections_until_no_ring_speaks_of_it() {
    let (shared, now) = (world(), Instant::now());
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(21, Active), (22, Active)]), now);
    keeper.work(now);
    let _ = log(&shared);
    keeper.want(wanted(&[(21, Active), (22, Draining)]), now);
    keeper.work(now);
    let expected = ["service tcp 192.0.2.10:80", "state 2 Draining"];
    assert_eq!(log(&shared), expected);
    keeper.want(wanted(&[(21, Active), (22, Dead)]), now);
    keeper.work(now);
    keeper.want(wanted(&[(21, Active), (22, Active)]), now);
    keeper.work(now);
    let expected = [
        "state 2 Dead",
        "state 2 Active",
        "service tcp 192.0.2.10:80",
    ];
    assert_eq!(log(&shared), expected);
}

#[test]
fn a_backend_of_a_former_process_that_is_not_known_yet_keeps_what_it_has() {
    let (shared, now) = (world(), Instant::now());
    let mut first = keeper(&shared, now);
    first.want(wanted(&[(21, Active), (22, Active), (23, Dead)]), now);
    first.work(now);
    drop(first);
    let flow = Flow {
        client: "198.51.100.1:1024".parse().expect("an address"),
        service: key(),
        idle: Duration::ZERO,
        closed: false,
    };
    shared.world().flows.insert(2, vec![flow]);
    let mut second = keeper(&shared, now);
    second.want(wanted(&[(21, Active)]), now);
    second.work(now);
    second.work(now + COUNTING);
    assert_eq!(shown(&shared), [(21, Active, true), (22, Draining, false)]);
    // Its agent comes back.
    second.want(wanted(&[(21, Active), (22, Active)]), now + COUNTING);
    second.work(now + COUNTING);
    assert_eq!(shown(&shared), [(21, Active, true), (22, Active, true)]);
    assert!(second.retired.is_empty());
}
