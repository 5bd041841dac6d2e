//! Pools of one route, shared out among clients by weight.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::client::Conn;
use crate::support::*;

/// Enough for shares to be told from each other.
const CLIENTS: usize = 10_000;

fn split(split: &str, api: SocketAddr, canary: SocketAddr) -> String {
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\n{split}\n\
         [pool.api]\nbackends = [\"{api}\"]\n{CHECKED}\n\
         [pool.api-canary]\nbackends = [\"{canary}\"]\n{CHECKED}\n"
    )
}

fn by_header(canary: u32) -> String {
    let api = 100 - canary;
    format!(
        "split = {{ api = {api}, api-canary = {canary} }}\nsplit_by = {{ header = \"X-User\" }}"
    )
}

/// Which pool each client gets.
fn pools(switch: &Switch) -> Vec<String> {
    let mut conn = Conn::open(switch.address("web"));
    let ask = |client| {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-User: user-{client}\r\n\r\n");
        let answer = conn.ask(&request).expect("an answer");
        assert_eq!(answer.status, 200, "client {client}");
        answer.text().trim().to_owned()
    };
    (0..CLIENTS).map(ask).collect()
}

fn reload(switch: &Switch, policy: &str) {
    switch.rewrite(policy);
    let (status, text) = switch.admin("POST", "/reload");
    assert_eq!(status, 200, "{text}");
}

#[test]
fn clients_are_split_by_weight_stay_and_move_no_more_than_a_change_asks_for() {
    let (api, canary) = (Backend::start("api"), Backend::start("canary"));
    let policy = |weight| split(&by_header(weight), api.address, canary.address);
    let switch = Switch::start(&policy(5));
    let first = pools(&switch);
    let share = |pools: &[String]| pools.iter().filter(|pool| *pool == "canary").count();
    assert!((400..=600).contains(&share(&first)), "{}", share(&first));
    assert!(first == pools(&switch), "each client stays");
    reload(&switch, &policy(10));
    let second = pools(&switch);
    let moved: Vec<_> = first
        .iter()
        .zip(&second)
        .filter(|(before, after)| before != after)
        .collect();
    assert!(moved.iter().all(|(before, _)| *before == "api"));
    assert_eq!(moved.len(), share(&second) - share(&first));
    assert!((900..=1100).contains(&share(&second)), "{}", share(&second));
    reload(&switch, &policy(5));
    assert!(first == pools(&switch), "a change taken back is as none");
    reload(&switch, &policy(0));
    assert_eq!(share(&pools(&switch)), 0);
    let route = &switch.status()["routes"][0];
    assert_eq!(route["split"][0]["pool"], "api");
    assert_eq!(route["split"][1]["weight"], 0);
    say(&format!(
        "split of {CLIENTS} clients: {} of them at 5, {} at 10 of 100; {} moved",
        share(&first),
        share(&second),
        moved.len()
    ));
}

#[test]
fn a_client_is_told_by_its_cookie_or_else_by_its_address() {
    let (api, canary) = (Backend::start("api"), Backend::start("canary"));
    let by = "split = { api = 1, api-canary = 1 }\nsplit_by = { cookie = \"user\" }";
    let switch = Switch::start(&split(by, api.address, canary.address));
    let mut conn = Conn::open(switch.address("web"));
    let mut ask = |cookie: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n");
        conn.ask(&request).expect("an answer").text()
    };
    let mut seen = HashMap::new();
    for user in 0..64 {
        let cookie = format!("Cookie: a=b; user={user}\r\n");
        let pool = ask(&cookie);
        *seen.entry(pool.clone()).or_insert(0) += 1;
        assert_eq!(ask(&cookie), pool);
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    let own = ask("");
    assert!((0..8).all(|_| ask("Cookie: other=1\r\n") == own));
}

#[test]
fn while_a_pool_is_down_its_clients_get_the_other_one() {
    let (api, canary) = (Backend::start("api"), Backend::start("canary"));
    let switch = Switch::start(&split(&by_header(50), api.address, canary.address));
    let before = pools(&switch);
    canary.control.kill();
    wait_until("the canary is down", || {
        switch.status()["pools"][1]["backends"][0]["state"] == "down"
    });
    assert!(pools(&switch).iter().all(|pool| pool == "api"));
    let _again = Backend::start_at("canary", canary.address);
    wait_until("the canary is up", || {
        switch.status()["pools"][1]["backends"][0]["state"] == "up"
    });
    assert!(pools(&switch) == before, "all are back");
}
