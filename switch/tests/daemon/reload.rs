use rustix::process::Signal;

use crate::support::*;

#[track_caller]
fn reload(switch: &Switch) -> (i32, String, String) {
    let socket = switch.folder.path().join("admin.sock");
    run(&[
        "reload",
        "--wait",
        "--admin",
        &format!("unix:{}", socket.display()),
    ])
}

#[test]
fn a_reload_changes_the_backends_and_closes_no_connection() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address], ""));
    let address = switch.address("web");
    let mut kept = Kept::open(address);
    assert_eq!(kept.get("/").expect("an answer"), "one\n");
    switch.rewrite(&policy(&[two.address], ""));
    let (code, out, err) = reload(&switch);
    assert_eq!(code, 0, "{err}");
    let digest = switch.status()["policy"]["digest"]
        .as_str()
        .expect("a word")
        .to_owned();
    assert_eq!(out, format!("policy {digest} in force\n"));
    assert_eq!(kept.get("/").expect("the connection stands"), "two\n");
    assert_eq!(switch.address("web"), address, "the socket stays");
}

#[test]
fn a_reload_keeps_what_is_known_of_backends_that_stay() {
    let (one, dead, two) = (Backend::start("one"), free_address(), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, dead], CHECKED));
    switch.wait_for_states(&["up", "down"]);
    assert_eq!(switch.get("/").0, 200);
    switch.rewrite(&policy(&[one.address, dead, two.address], CHECKED));
    assert_eq!(reload(&switch).0, 0);
    assert_eq!(switch.states()[..2], ["up", "down"]);
    assert_eq!(switch.status()["pools"][0]["backends"][0]["requests"], 1);
    switch.wait_for_states(&["up", "down", "up"]);
}

#[test]
fn a_wrong_policy_changes_nothing_and_says_why() {
    let one = Backend::start("one");
    let right = policy(&[one.address], "");
    let switch = Switch::start(&right);
    switch.rewrite(&right.replace("backends", "backend"));
    let (code, out, err) = reload(&switch);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("p.toml:"), "{err}");
    assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
    let metrics = switch.admin("GET", "/metrics").1;
    assert!(
        metrics.contains("pointsman_config_last_reload_success 0"),
        "{metrics}"
    );
    switch.rewrite(&right);
    assert_eq!(reload(&switch).0, 0);
    let metrics = switch.admin("GET", "/metrics").1;
    assert!(
        metrics.contains("pointsman_config_last_reload_success 1"),
        "{metrics}"
    );
}

#[test]
fn listeners_come_and_go() {
    let one = Backend::start("one");
    let before = policy(&[one.address], "");
    let switch = Switch::start(&before);
    let (first, second) = (switch.address("web"), free_address());
    let more = format!("{before}[listener.more]\nbind = \"{second}\"\n");
    switch.rewrite(&more);
    assert_eq!(reload(&switch).0, 0);
    assert_eq!(get(first, "/").0, 200);
    assert_eq!(get(second, "/").0, 200);
    switch.rewrite(&before);
    assert_eq!(reload(&switch).0, 0);
    wait_until("the listener is gone", || get(second, "/").0 == 0);
    assert_eq!(get(first, "/").0, 200);
}

#[test]
fn an_address_that_is_taken_leaves_everything_as_it_is() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address], ""));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken
        .local_addr()
        .map(|address| (address, taken))
        .expect("bound");
    let wrong = format!(
        "{}[listener.more]\nbind = \"{}\"\n",
        policy(&[two.address], ""),
        taken.0
    );
    switch.rewrite(&wrong);
    let (code, _, err) = reload(&switch);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&taken.0.to_string()), "{err}");
    assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
}

#[test]
fn sighup_reloads() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address], ""));
    switch.rewrite(&policy(&[two.address], ""));
    assert_eq!(switch.get("/").1, "one\n", "nobody has asked yet");
    switch.signal(Signal::HUP);
    wait_until("the other server answers", || switch.get("/").1 == "two\n");
}

#[test]
fn a_watched_file_is_read_when_an_editor_replaces_it() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start_with(&policy(&[one.address], ""), &["--watch"]);
    let other = switch.folder.path().join(".p.toml.swp");
    let text = std::fs::read_to_string(switch.file()).expect("there");
    let text = text.replace(&one.address.to_string(), &two.address.to_string());
    std::fs::write(&other, text).expect("written");
    std::fs::rename(&other, switch.file()).expect("renamed");
    wait_until("the other server answers", || switch.get("/").1 == "two\n");
}
