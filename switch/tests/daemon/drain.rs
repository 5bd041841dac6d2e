use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::*;

#[test]
fn sigterm_finishes_what_is_under_way_and_refuses_what_is_new() {
    let one = Backend::start("one");
    let mut switch = Switch::start(&policy(&[one.address], ""));
    let address = switch.address("web");
    let slow = std::thread::spawn(move || get(address, "/delay/1500ms"));
    wait_until("it is under way", || {
        switch.status()["pools"][0]["backends"][0]["in_flight"] == 1
    });
    switch.signal(Signal::TERM);
    wait_until("it is not ready any more", || {
        switch.admin("GET", "/ready").0 == 503
    });
    wait_until("new connections are refused", || get(address, "/").0 == 0);
    assert_eq!(
        slow.join().expect("the client ends"),
        (200, "one\n".to_owned())
    );
    assert_eq!(switch.wait_for_end(), 0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let one = Backend::start("one");
    let mut switch = Switch::start(&policy(&[one.address], ""));
    let address = switch.address("web");
    let slow = std::thread::spawn(move || get(address, "/delay/20s"));
    wait_until("it is under way", || {
        switch.status()["pools"][0]["backends"][0]["in_flight"] == 1
    });
    let started = Instant::now();
    switch.signal(Signal::INT);
    wait_until("it drains", || switch.admin("GET", "/ready").0 == 503);
    switch.signal(Signal::INT);
    switch.wait_for_end();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_ne!(slow.join().expect("the client ends").0, 200);
}

#[test]
fn the_admin_socket_goes_with_the_process() {
    let one = Backend::start("one");
    let mut switch = Switch::start(&policy(&[one.address], ""));
    let socket = switch.folder.path().join("admin.sock");
    assert!(socket.exists());
    switch.signal(Signal::TERM);
    assert_eq!(switch.wait_for_end(), 0);
    assert!(!socket.exists());
}
