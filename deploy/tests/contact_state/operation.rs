//! What a switch has found out or was told while it ran: its standby goes on with it.

use pointsman_deploy::lab::{Server, Switch, wait_until};
use serde_json::Value;

use crate::client::ask;
use crate::stage::{Stage, target, wait_for_role};

#[test]
fn what_an_operator_has_drained_is_drained_at_whoever_takes_over() {
    let test = "what_an_operator_has_drained_is_drained_at_whoever_takes_over";
    let Some(stage) = Stage::new(test, &[], 3) else {
        return;
    };
    let (mut a, b) = stage.pair(&stage.policy());
    let name = format!("app/{}:3001", stage.back.ipv4());
    a.tell(&["backend", "drain", &name, "--why", "a disk is changed"]);
    wait_until("the standby knows", || {
        let why = b.status()["overlay"][0]["why"] == "a disk is changed";
        why && backend(&b, 0)["state"] == "draining"
    });
    a.kill();
    wait_for_role(&b, "active");
    assert!(!answers(&stage, 20).contains(&"3001".to_owned()));
    b.tell(&["backend", "enable", &name]);
    wait_until("it takes requests again", || {
        answers(&stage, 6).contains(&"3001".to_owned())
    });
}

#[test]
fn a_backend_that_was_ejected_is_out_at_a_standby_that_has_sent_it_nothing() {
    let test = "a_backend_that_was_ejected_is_out_at_a_standby_that_has_sent_it_nothing";
    let Some(stage) = Stage::new(test, &[], 2) else {
        return;
    };
    let listen = (stage.back.ipv4(), 3003).into();
    let _failing = Server::start_with(&stage.back, listen, "3003", &["--errors", "100%"]);
    let mut policy = stage.policy();
    policy.pool = policy
        .pool
        .replace("]\n", &format!(", \"{}:3003\"]\n", stage.back.ipv4()));
    policy.pool += "eject = { errors = 3, for = \"60s\" }\n";
    let (mut a, b) = stage.pair(&policy);
    wait_until("the holder ejects it", || {
        answers(&stage, 6);
        backend(&a, 2)["state"] == "ejected"
    });
    wait_until("the standby knows", || backend(&b, 2)["state"] == "ejected");
    a.kill();
    wait_for_role(&b, "active");
    assert!(!answers(&stage, 20).contains(&"3003".to_owned()));
}

#[test]
fn a_sticky_cookie_means_the_same_backend_at_whoever_takes_over() {
    let test = "a_sticky_cookie_means_the_same_backend_at_whoever_takes_over";
    let Some(stage) = Stage::new(test, &[], 5) else {
        return;
    };
    let mut policy = stage.policy();
    policy.pool += "sticky = { cookie = \"SRV\" }\n";
    let (mut a, b) = stage.pair(&policy);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let answer = ask(&stage.client, target(), &[]).unwrap();
            let cookie = answer.cookie.expect("a cookie is set");
            (answer.backend, cookie)
        })
        .collect();
    a.kill();
    wait_for_role(&b, "active");
    for (backend, cookie) in clients {
        let answer = ask(&stage.client, target(), &[("Cookie", &cookie)]).unwrap();
        assert_eq!((answer.backend, answer.cookie), (backend, None));
    }
}

/// Who answers so many requests, one after the other.
fn answers(stage: &Stage, count: usize) -> Vec<String> {
    let one = |_| ask(&stage.client, target(), &[]).unwrap().backend;
    (0..count).map(one).collect()
}

/// What a switch tells of the backend at this place of the only pool.
fn backend(switch: &Switch, place: usize) -> Value {
    switch.status()["pools"][0]["backends"][place].clone()
}
