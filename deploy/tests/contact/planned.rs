//! What operators do: nobody notices.

use std::time::Duration;

use pointsman_deploy::lab::{Switch, wait_until};

use crate::clients::{Clients, ask, fetch};
use crate::stage::{SHARED, Stage, Turn, group_of, lasts, order, target, wait_for};

/// Bytes of a long download, and the pause after each 64 KiB: it takes two seconds and more.
const LONG: usize = 20 << 20;
const PAUSE: Duration = Duration::from_millis(7);

#[test]
fn no_client_notices_that_a_switch_yields_and_resumes() {
    let name = "no_client_notices_that_a_switch_yields_and_resumes";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (a, b) = stage.pair("");
    let clients = Clients::start(&stage.client, target());
    a.tell(&["contact", "yield"]);
    wait_for(&b, "active");
    wait_for(&a, "standby");
    assert_eq!(group_of(&a, "ipv4")["yielded"], true);
    stage.wait_until_served_by("b");
    lasts("a stands back", || group_of(&b, "ipv4")["role"] == "active");
    clients.wait_until_calm();
    a.tell(&["contact", "resume"]);
    wait_for(&a, "active");
    wait_for(&b, "standby");
    stage.wait_until_served_by("a");
    clients.end_unharmed(&[&a, &b]);
    wait_until("a alone holds it", || stage.held(SHARED) == (true, false));
}

#[test]
fn no_client_notices_that_a_switch_stops() {
    let name = "no_client_notices_that_a_switch_stops";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (mut a, b) = stage.pair("");
    let clients = Clients::start(&stage.client, target());
    a.stop();
    assert_eq!(a.has_ended(), Some(0), "{}", a.log());
    wait_for(&b, "active");
    clients.end_unharmed(&[&a, &b]);
    assert_eq!(stage.held(SHARED), (false, true));
    assert_eq!(group_of(&b, "ipv4")["last_takeover"]["reason"], "handover");
}

#[test]
fn no_client_notices_that_the_holder_is_upgraded() {
    let name = "no_client_notices_that_the_holder_is_upgraded";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (mut a, b) = stage.pair("");
    let clients = Clients::start(&stage.client, target());
    let told = a.tell(&["upgrade"]);
    wait_until("another process goes on", || {
        group_of(&a, "ipv4")["why"] == "the process before has handed over"
    });
    wait_for(&a, "active");
    wait_until("the process before ends", || a.has_ended().is_some());
    lasts("a holds it", || stage.held(SHARED) == (true, false));
    clients.end_unharmed(&[&a, &b]);
    assert_eq!(group_of(&b, "ipv4")["role"], "standby");

    // Whoever took over is a switch like any other.
    let pid = told
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(',');
    stage.a.run("kill", &["-KILL", pid]);
    wait_for(&b, "active");
    wait_until("b alone holds it", || stage.held(SHARED) == (false, true));
    stage.wait_until_served_by("b");
}

#[test]
fn a_reload_changes_priorities_and_addresses_and_takes_the_contact_away() {
    let name = "a_reload_changes_priorities_and_addresses_and_takes_the_contact_away";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let (a, b) = stage.pair("");
    let reload = |switch: &Switch, text: &str| {
        switch.rewrite(text);
        switch.tell(&["reload"]);
    };
    let of_b = stage.policy(&stage.b, 200);
    reload(&b, &of_b.text());
    wait_for(&b, "active");
    wait_for(&a, "standby");
    assert_eq!(group_of(&b, "ipv4")["priority"], 200);
    stage.wait_until_served_by("b");

    let more = [format!("{SHARED}/24"), "10.77.0.101/24".to_owned()];
    let more = more.each_ref().map(String::as_str);
    reload(&b, &of_b.clone().addresses(&more).text());
    reload(&a, &stage.policy(&stage.a, 150).addresses(&more).text());
    wait_until("b has the second address, too", || {
        stage.held("10.77.0.101") == (false, true)
    });
    let second = "10.77.0.101:80".parse().unwrap();
    stage.wait_until_served(second, "b");
    stage.wait_until_served_by("b");

    reload(&b, &of_b.text_without_contact());
    wait_for(&a, "active");
    wait_until("b has neither address", || {
        stage.held(SHARED) == (true, false) && stage.held("10.77.0.101") == (true, false)
    });
    stage.wait_until_served_by("a");
    stage.wait_until_served(second, "a");
}

#[test]
fn a_long_download_survives_a_yield_byte_for_byte() {
    let name = "a_long_download_survives_a_yield_byte_for_byte";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (a, b) = stage.pair("");
    let path = format!("/size/{LONG}");
    let server = (stage.third.ipv4(), 3001).into();
    let whole = fetch(&stage.client, server, &path, Duration::ZERO).unwrap();
    let begun = std::time::Instant::now();
    let got = std::thread::scope(|scope| {
        let download = scope.spawn(|| fetch(&stage.client, target(), &path, PAUSE));
        std::thread::sleep(Duration::from_millis(300));
        a.tell(&["contact", "yield"]);
        wait_for(&b, "active");
        assert!(!download.is_finished(), "it was to be long");
        assert_eq!(ask(&stage.client, target()).as_deref(), Some("b"));
        download.join().unwrap()
    });
    let got = got.unwrap_or_else(|| panic!("it was cut off\n{}\n{}", a.log(), b.log()));
    assert!(begun.elapsed() > Duration::from_secs(1));
    assert_eq!(body(&got).len(), LONG);
    assert!(body(&got) == body(&whole));
    assert!(group_of(&b, "ipv4")["relayed_packets"].as_u64() > Some(0));
}

#[test]
fn a_lone_switch_yields_only_by_force_and_goes_on_when_nobody_comes() {
    let name = "a_lone_switch_yields_only_by_force_and_goes_on_when_nobody_comes";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let a = Switch::start(&stage.a, &stage.policy(&stage.a, 150).text());
    wait_for(&a, "active");
    let refused = order(&a, &["contact", "yield"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    assert_eq!(stage.held(SHARED), (true, false));

    let forced = order(&a, &["contact", "yield", "--force"]);
    assert_eq!(forced.status.code(), Some(5), "{forced:?}");
    assert!(String::from_utf8_lossy(&forced.stderr).contains("nobody has taken over"));
    wait_for(&a, "active");
    assert_eq!(group_of(&a, "ipv4")["yielded"], false);
    assert_eq!(stage.held(SHARED), (true, false));
    stage.wait_until_served_by("a");
    assert_eq!(
        order(&a, &["contact", "yield", "--group", "7"])
            .status
            .code(),
        Some(1)
    );
}

fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    &answer[end.unwrap() + 4..]
}
