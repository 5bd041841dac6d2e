use crate::support::*;

#[test]
fn a_server_that_dies_is_taken_out_and_no_request_fails() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], CHECKED));
    switch.wait_for_states(&["up", "up"]);
    let address = two.address;
    two.control.kill();
    for _ in 0..50 {
        assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
    }
    switch.wait_for_states(&["up", "down"]);
    let status = switch.status();
    let check = &status["pools"][0]["backends"][1]["last_check"];
    assert!(
        check["error"]
            .as_str()
            .is_some_and(|error| error.contains("refused")),
        "{check}"
    );
    let _back = Backend::start_at("two", address);
    switch.wait_for_states(&["up", "up"]);
}

#[test]
fn a_server_that_says_it_is_ill_is_taken_out() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], CHECKED));
    two.control.set_healthy(false);
    switch.wait_for_states(&["up", "down"]);
    for _ in 0..10 {
        assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
    }
    two.control.set_healthy(true);
    switch.wait_for_states(&["up", "up"]);
}

#[test]
fn without_checks_a_refused_connection_takes_a_server_out_until_it_accepts_again() {
    let (one, dead) = (Backend::start("one"), free_address());
    let switch = Switch::start(&policy(&[one.address, dead], ""));
    switch.wait_for_states(&["up", "up"]);
    for _ in 0..4 {
        assert_eq!(
            switch.get("/"),
            (200, "one\n".to_owned()),
            "another server is tried"
        );
    }
    switch.wait_for_states(&["up", "down"]);
    let _back = Backend::start_at("two", dead);
    switch.wait_for_states(&["up", "up"]);
}

#[test]
fn a_name_that_does_not_resolve_is_no_obstacle() {
    let one = Backend::start("one");
    let text = policy(&[one.address], CHECKED);
    let text = text.replace("backends = [", "backends = [\"nowhere.invalid:80\", ");
    let switch = Switch::start(&text);
    assert_eq!(switch.states(), ["unresolved", "up"]);
    assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
}

#[test]
fn a_name_that_resolves_is_used() {
    let one = Backend::start("one");
    let text = policy(&[], CHECKED);
    let named = format!("backends = [\"localhost:{}\"", one.address.port());
    let switch = Switch::start(&text.replace("backends = [", &named));
    wait_until("an answer", || switch.get("/") == (200, "one\n".to_owned()));
}

#[test]
fn with_every_server_down_the_answer_is_503() {
    let switch = Switch::start(&policy(&[free_address()], CHECKED));
    switch.wait_for_states(&["down"]);
    assert_eq!(switch.get("/").0, 503);
}
