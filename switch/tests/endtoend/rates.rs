//! How often a route may be asked.

use crate::client::{Answer, Conn};
use crate::support::*;

fn limited(limit: &str) -> (Backend, Switch) {
    let server = Backend::start("one");
    let route = format!("[[route]]\nlimit = {limit}");
    let text = policy(&[server.address], "").replace("[[route]]", &route);
    let switch = Switch::start(&text);
    (server, switch)
}

fn keyed(conn: &mut Conn, key: &str) -> Answer {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n");
    conn.ask(&request).unwrap()
}

#[test]
fn a_burst_passes_and_then_the_client_is_told_when_to_come_again() {
    let (_server, switch) = limited("{ rate = \"10/m\", burst = 3 }");
    let mut conn = Conn::open(switch.address("web"));
    for _ in 0..3 {
        assert_eq!(conn.get("/").unwrap().status, 200);
    }
    let answer = conn.get("/").unwrap();
    assert_eq!(answer.status, 429);
    let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&after), "{after} s");
    let policy = answer.field("ratelimit-policy").unwrap();
    assert_eq!(policy, "\"default\";q=10;w=60");
    let state = answer.field("ratelimit").unwrap();
    assert_eq!(state, format!("\"default\";r=0;t={after}"));
    assert!(answer.field("proxy-status").unwrap().contains("rate_limit"));
    let errors = "pointsman_errors_total{route=\"default\",reason=\"rate_limit\"}";
    wait_until("it is counted", || switch.metric(errors) == 1.0);
}

#[test]
fn each_key_has_a_rate_of_its_own() {
    let (_server, switch) =
        limited("{ rate = \"1/h\", burst = 2, by = { header = \"X-Api-Key\" } }");
    let mut conn = Conn::open(switch.address("web"));
    for key in ["alpha", "beta"] {
        let statuses = [0; 3].map(|_| keyed(&mut conn, key).status);
        assert_eq!(statuses, [200, 200, 429], "{key}");
    }
    let statuses = [0; 3].map(|_| conn.get("/").unwrap().status);
    assert_eq!(
        statuses,
        [200, 200, 429],
        "without a key the address counts"
    );
}

#[test]
fn a_route_can_have_one_rate_for_all() {
    let (_server, switch) = limited("{ rate = \"1/h\", burst = 3, by = \"route\" }");
    let mut passed = 0;
    for key in 0..6 {
        let mut conn = Conn::open(switch.address("web"));
        passed += u32::from(keyed(&mut conn, &key.to_string()).status == 200);
    }
    assert_eq!(passed, 3);
}

#[test]
fn a_reload_forgets_nobody() {
    let (server, switch) = limited("{ rate = \"1/h\", burst = 2 }");
    let mut conn = Conn::open(switch.address("web"));
    let statuses = [0; 3].map(|_| conn.get("/").unwrap().status);
    assert_eq!(statuses, [200, 200, 429]);
    let route = "[[route]]\nmax_body = \"1MiB\"\nlimit = { rate = \"1/h\", burst = 2 }";
    switch.rewrite(&policy(&[server.address], "").replace("[[route]]", route));
    assert_eq!(switch.admin("POST", "/reload").0, 200);
    assert_eq!(conn.get("/").unwrap().status, 429);
}

#[test]
fn a_flood_of_made_up_keys_neither_grows_memory_nor_frees_a_heavy_one() {
    let (_server, switch) =
        limited("{ rate = \"2/h\", burst = 2, by = { header = \"X-Api-Key\" } }");
    let mut conn = Conn::open(switch.address("web"));
    while keyed(&mut conn, "heavy").status == 200 {}
    for number in 0..3000 {
        assert_eq!(keyed(&mut conn, &format!("made-up-{number}")).status, 200);
    }
    assert_eq!(keyed(&mut conn, "heavy").status, 429);
}
