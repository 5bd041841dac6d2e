//! IPv6, alone and beside IPv4.

use pointsman_deploy::lab::{Switch, wait_until};

use crate::clients::Clients;
use crate::stage::{
    SHARED, SHARED6, Stage, Turn, lasts, standbys, standbys_for, target, target6, wait_for,
    wait_for_family,
};

#[test]
fn an_address_of_ipv6_moves_without_a_failure_and_when_its_holder_is_killed() {
    let name = "an_address_of_ipv6_moves_without_a_failure_and_when_its_holder_is_killed";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let peers = [&stage.a, &stage.b].map(|host| host.ipv6().unwrap().into());
    let start = |host, priority| {
        let policy = stage.policy(host, priority);
        let address = format!("{SHARED6}/64");
        let policy = policy.addresses(&[&address]).peers(&peers);
        Switch::start(host, &policy.text())
    };
    let (mut a, b) = (start(&stage.a, 150), start(&stage.b, 100));
    wait_for_family(&a, "ipv6", "active");
    wait_for_family(&b, "ipv6", "standby");
    wait_until("the link-local address is held, too", || {
        stage.held("fe80::200:5eff:fe00:233") == (true, false)
    });
    wait_until("a knows b", || standbys_for(&a, "ipv6") == 1);
    let clients = Clients::start(&stage.client, target6());
    a.tell(&["contact", "yield"]);
    wait_for_family(&b, "ipv6", "active");
    stage.wait_until_served(target6(), "b");
    a.tell(&["contact", "resume"]);
    wait_for_family(&a, "ipv6", "active");
    stage.wait_until_served(target6(), "a");
    clients.end_unharmed(&[&a, &b]);
    a.kill();
    wait_for_family(&b, "ipv6", "active");
    wait_until("b alone holds it", || stage.held(SHARED6) == (false, true));
    stage.wait_until_served(target6(), "b");
}

#[test]
fn addresses_of_both_families_are_held_by_the_same_switch() {
    let name = "addresses_of_both_families_are_held_by_the_same_switch";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let start = |host, priority| {
        let policy = stage.policy(host, priority);
        let [four, six] = [format!("{SHARED}/24"), format!("{SHARED6}/64")];
        Switch::start(host, &policy.addresses(&[&four, &six]).text())
    };
    let (mut a, b) = (start(&stage.a, 150), start(&stage.b, 100));
    let all = |switch: &Switch, role| {
        wait_for(switch, role);
        wait_for_family(switch, "ipv6", role);
    };
    all(&a, "active");
    all(&b, "standby");
    wait_until("a knows b", || standbys(&a) == 1);
    let held = || (stage.held(SHARED), stage.held(SHARED6));
    lasts("a holds both", || held() == ((true, false), (true, false)));
    for target in [target(), target6()] {
        stage.wait_until_served(target, "a");
    }
    a.kill();
    all(&b, "active");
    wait_until("b holds both", || held() == ((false, true), (false, true)));
    for target in [target(), target6()] {
        stage.wait_until_served(target, "b");
    }
}
