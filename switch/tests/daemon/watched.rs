//! `pointsman trace`: one request through a running switch, step by step.

use serde_json::Value;

use crate::support::*;
use crate::tls::certify;

/// Runs it against this switch: exit code, standard output, standard error.
fn trace(switch: &Switch, args: &[&str]) -> (i32, String, String) {
    run(&[&["trace"], args, &["--admin", &switch.admin_word()]].concat())
}

#[track_caller]
fn traced(switch: &Switch, args: &[&str]) -> Value {
    let (code, out, err) = trace(switch, &[args, &["--json"]].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{err}"))
}

/// The words of the steps, in order; times never go back.
#[track_caller]
fn steps(traced: &Value) -> Vec<String> {
    let steps = traced["steps"].as_array().expect("a list");
    let times: Vec<f64> = steps
        .iter()
        .map(|step| step["at"].as_f64().expect("a time"))
        .collect();
    assert!(times.is_sorted() && times[0] == 0.0, "{times:?}");
    let word = |step: &Value| step["step"].as_str().expect("a word").to_owned();
    steps.iter().map(word).collect()
}

/// Whether a server was sent the field that bears the token.
fn saw_token(switch: &Switch, field: &str) -> bool {
    let stream = std::net::TcpStream::connect(switch.address("web")).expect("it listens");
    let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{field}\r\n\r\n");
    let mut stream = &stream;
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("an answer");
    assert!(answer.contains("\"target\":\"/echo\""), "{answer}");
    answer.to_ascii_lowercase().contains("pointsman-trace")
}

#[test]
fn each_step_of_a_request_is_told_and_why() {
    let one = Backend::start("one");
    // One worker has all the kept connections.
    let text = String::from("[process]\nworkers = 1\n") + &policy(&[one.address], "").replace(
        "[[route]]",
        "[[route]]\nname = \"beta\"\nmatch = { host = \"shop.example\", path = \"/x/*\", header = { x-beta = \"on\" } }\n\
         respond = { status = 204 }\n\
         [[route]]\nname = \"x\"\nmatch = { host = \"shop.example\", path = \"/x/*\" }\npool = \"app\"\n\
         [[route]]",
    );
    let switch = Switch::start(&text);
    let told = traced(
        &switch,
        &["POST", "http://shop.example/x/1?a=b", "--data", "hello"],
    );
    assert_eq!(
        steps(&told),
        [
            "accepted",
            "head",
            "route",
            "pool",
            "try",
            "connected",
            "answer",
            "done"
        ]
    );
    assert_eq!(told["request"], "POST shop.example /x/1?a=b");
    assert_eq!(told["listener"], "web");
    assert_eq!(
        (&told["route"], &told["pool"]),
        (&"x".into(), &"app".into())
    );
    assert_eq!(
        (&told["status"], &told["request_bytes"]),
        (&200.into(), &5.into())
    );
    assert_eq!(told["response_bytes"], told["client_saw"]["bytes"]);
    assert_eq!(told["steps"][4]["backend"], one.address.to_string());
    assert_eq!(told["why"]["route"]["name"], "x");

    traced(&switch, &["GET", "http://shop.example/x/1"]);
    let (code, out, err) = trace(
        &switch,
        &["GET", "http://shop.example/x/1", "-H", "X-Beta: off"],
    );
    assert_eq!(code, 0, "{err}");
    for part in [
        "accepted   by listener web, from 127.0.0.1",
        "route      x: ",
        "host = \"shop.example\"",
        "not beta: ",
        "pool       app: ",
        "a kept connection",
        "status 200, first bytes",
        "the client got status 200",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let told = traced(
        &switch,
        &["GET", "http://shop.example/x/1", "-H", "X-Beta: on"],
    );
    assert_eq!(steps(&told), ["accepted", "head", "route", "done"]);
    assert_eq!(
        (&told["route"], &told["status"]),
        (&"beta".into(), &204.into())
    );
}

#[test]
fn tries_that_fail_are_told_with_their_reason() {
    let (dead, one) = (free_address(), Backend::start("one"));
    let switch = Switch::start(&policy(&[dead, one.address], "eject = false"));
    let failed = || {
        // Once it is known to refuse connections it is not tried.
        let told = traced(&switch, &["GET", "http://localhost/"]);
        let steps = told["steps"].as_array().expect("a list").clone();
        let failed = steps.iter().find(|step| step["step"] == "failed").cloned();
        (told, failed)
    };
    let (told, step) = failed();
    if let Some(step) = step {
        assert_eq!(step["backend"], dead.to_string());
        assert_eq!(step["text"], "reason connect_refused");
        assert_eq!(told["status"], 200, "another one has answered");
    }
    let switch = Switch::start(&policy(&[dead], ""));
    let (code, out, _) = trace(&switch, &["GET", "http://localhost/"]);
    assert_eq!(code, 0, "that it fails is what it tells");
    assert!(
        out.contains("reason connect_refused") || out.contains("reason no_backend"),
        "{out}"
    );
    assert!(out.contains("the client got status 50"), "{out}");
}

#[test]
fn nobody_else_is_watched_and_no_server_sees_a_token() {
    let one = Backend::start("one");
    let switch = Switch::start(&policy(&[one.address], ""));
    assert!(!saw_token(
        &switch,
        "Pointsman-Trace: 0123456789abcdef0123456789abcdef"
    ));
    let (status, place) = switch.admin("POST", "/trace?url=http://localhost/");
    assert_eq!(status, 200, "{place}");
    let place: Value = serde_json::from_str(&place).expect("JSON");
    let token = place["token"].as_str().expect("a text");
    let ask = || switch.admin("GET", &format!("/trace?token={token}")).0;
    assert!(
        !saw_token(&switch, "Accept: */*"),
        "a request without the token"
    );
    assert_eq!(ask(), 202, "it is not the one");
    assert!(!saw_token(&switch, &format!("Pointsman-Trace: {token}")));
    assert_eq!(ask(), 200);
    assert_eq!(ask(), 404, "once");
    assert!(
        !saw_token(&switch, &format!("Pointsman-Trace: {token}")),
        "it is used up"
    );
    assert_eq!(ask(), 404);
}

#[test]
fn listeners_with_tls_are_traced_whatever_their_certificate() {
    let one = Backend::start("one");
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path());
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n[[route]]");
    let switch = Switch::start(&policy(&[one.address], "").replace("[[route]]", &tls));
    let told = traced(&switch, &["GET", "https://shop.example/"]);
    assert_eq!(told["status"], 200);
    assert_eq!(steps(&told).last().map(String::as_str), Some("done"));
}

#[test]
fn what_cannot_be_traced_has_its_exit_code() {
    let one = Backend::start("one");
    let switch = Switch::start(&policy(&[one.address], ""));
    let code = |args: &[&str]| trace(&switch, args).0;
    assert_eq!(code(&["GET", "nowhere"]), 1);
    assert_eq!(code(&["G E T", "http://localhost/"]), 1);
    assert_eq!(code(&["GET", "http://localhost/", "--listener", "none"]), 1);
    let dead = free_address().to_string();
    assert_eq!(code(&["GET", "http://localhost/", "--connect", &dead]), 5);
    let (code, _, err) = run(&["trace", "GET", "http://localhost/", "--admin", &dead]);
    assert_eq!(code, 3, "{err}");
}
