//! Who holds the address.

use pointsman_deploy::lab::{Switch, wait_until};

use crate::clients::Clients;
use crate::stage::{SHARED, Stage, Turn, events, group_of, lasts, target, wait_for};

#[test]
fn the_preferred_switch_holds_the_address_and_the_standby_takes_over_when_it_is_killed() {
    let name =
        "the_preferred_switch_holds_the_address_and_the_standby_takes_over_when_it_is_killed";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let (mut a, b) = stage.pair("");
    lasts("a alone holds it", || stage.held(SHARED) == (true, false));
    a.kill();
    wait_for(&b, "active");
    wait_until("the killed host has no address", || {
        stage.held(SHARED) == (false, true)
    });
    stage.wait_until_served_by("b");
    assert_eq!(group_of(&b, "ipv4")["last_takeover"]["reason"], "death");

    let a = Switch::start(&stage.a, &stage.policy(&stage.a, 150).text());
    wait_for(&a, "active");
    wait_for(&b, "standby");
    wait_until("a alone holds it again", || {
        stage.held(SHARED) == (true, false)
    });
    stage.wait_until_served_by("a");
}

#[test]
fn a_switch_that_comes_back_takes_off_what_it_left_and_disturbs_nobody() {
    let name = "a_switch_that_comes_back_takes_off_what_it_left_and_disturbs_nobody";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (mut a, b) = stage.pair("");
    a.kill_all();
    wait_for(&b, "active");
    assert_eq!(
        stage.held(SHARED),
        (true, true),
        "nobody was left to remove it"
    );
    stage.wait_until_served_by("b");

    let clients = Clients::start(&stage.client, target());
    let a = Switch::start(&stage.a, &stage.policy(&stage.a, 50).text());
    wait_for(&a, "standby");
    lasts("b alone holds it", || stage.held(SHARED) == (false, true));
    assert!(a.log().contains("was left behind"), "{}", a.log());
    clients.end_unharmed(&[&a, &b]);
    wait_for(&b, "active");
}

#[test]
fn without_preemption_a_preferred_switch_waits_until_the_holder_is_gone() {
    let name = "without_preemption_a_preferred_switch_waits_until_the_holder_is_gone";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let start = |host, priority| {
        let policy = stage.policy(host, priority).keys("preempt = false");
        Switch::start(host, &policy.text())
    };
    let mut b = start(&stage.b, 100);
    wait_for(&b, "active");
    let a = start(&stage.a, 150);
    wait_for(&a, "standby");
    lasts("b alone holds it", || stage.held(SHARED) == (false, true));
    assert_eq!(group_of(&a, "ipv4")["holder"], "10.77.0.12");
    b.kill();
    wait_for(&a, "active");
    stage.wait_until_served_by("a");
}

#[test]
fn the_owner_of_the_address_takes_it_as_soon_as_it_is_there() {
    let name = "the_owner_of_the_address_takes_it_as_soon_as_it_is_there";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let b = Switch::start(&stage.b, &stage.policy(&stage.b, 254).text());
    wait_for(&b, "active");
    let mut a = Switch::start(&stage.a, &stage.policy(&stage.a, 255).text());
    wait_for(&a, "active");
    wait_for(&b, "standby");
    wait_until("a alone holds it", || stage.held(SHARED) == (true, false));
    lasts("a alone holds it", || stage.held(SHARED) == (true, false));
    stage.wait_until_served_by("a");
    a.stop();
    wait_for(&b, "active");
    stage.wait_until_served_by("b");
}

#[test]
fn of_two_switches_with_the_same_priority_one_holds_the_address_and_keeps_it() {
    let name = "of_two_switches_with_the_same_priority_one_holds_the_address_and_keeps_it";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let start = |host| Switch::start(host, &stage.policy(host, 100).text());
    // The lesser address comes first: the greater one would win an election, but not preempt.
    let mut a = start(&stage.a);
    wait_for(&a, "active");
    let b = start(&stage.b);
    wait_for(&b, "standby");
    lasts("a alone holds it", || stage.held(SHARED) == (true, false));
    a.kill();
    wait_for(&b, "active");
    drop((a, b));

    let (a, b) = std::thread::scope(|scope| {
        let a = scope.spawn(|| start(&stage.a));
        let b = scope.spawn(|| start(&stage.b));
        (a.join().unwrap(), b.join().unwrap())
    });
    let one_holds = || matches!(stage.held(SHARED), (true, false) | (false, true));
    let roles = || [&a, &b].map(|switch| group_of(switch, "ipv4")["role"].clone());
    wait_until("one of both is active", || {
        let roles = roles();
        roles.contains(&"active".into()) && roles.contains(&"standby".into()) && one_holds()
    });
    lasts("one of both holds it", one_holds);
    assert!(events(&a, "active").len() + events(&b, "active").len() <= 2);
}
