//! What the admin interface tells the dashboard.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::board::Board;
use crate::support::*;

/// The events of a stream, one after the other.
struct Events(BufReader<TcpStream>);

impl Events {
    fn of(board: &Board) -> Self {
        let stream = board.begin("GET", "/live", &[]).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next one of this name.
    #[track_caller]
    fn next(&mut self, name: &str) -> Value {
        let mut found = false;
        for line in self.0.by_ref().lines() {
            let line = line.expect("the stream goes on");
            if let Some(data) = line.strip_prefix("data: ").filter(|_| found) {
                return serde_json::from_str(data).unwrap();
            }
            found = line == format!("event: {name}");
        }
        panic!("the stream has ended");
    }
}

#[test]
fn frames_tell_everything_at_first_and_then_what_has_changed() {
    let backends = ["one", "two"].map(Backend::start);
    let addresses = backends.each_ref().map(|one| one.address);
    let board = Board::start(&policy(&addresses, CHECKED), "");
    let mut events = Events::of(&board);
    let shape = events.next("shape");
    assert_eq!(shape["pools"][0]["backends"].as_array().unwrap().len(), 2);
    assert_eq!(shape["routes"][0]["pool"], "app");
    let first = events.next("tick");
    assert_eq!(first["backends"].as_array().unwrap().len(), 2, "{first}");
    let second = events.next("tick");
    assert!(second["backends"].is_object(), "{second}");
    for _ in 0..30 {
        get(board.web(), "/");
    }
    wait_until("the rate is told", || {
        events.next("tick")["whole"][0].as_f64().unwrap() > 0.5
    });
    backends[0].control.kill();
    let state = shape["states"].as_array().unwrap();
    let down = state.iter().position(|word| word == "down").unwrap();
    wait_until("it is down", || {
        events.next("tick")["backends"]["0"][0] == down
    });
    board.ask("POST", "/backend/drain?pool=app&backend=nobody", &[]);
    let drain = format!("/backend/weight?pool=app&weight=5&backend={}", addresses[1]);
    assert_eq!(board.ask("POST", &drain, &[]).0, 200);
    let happened = events.next("happened");
    assert_eq!(happened["about"]["pool"], "app");
}

#[test]
fn a_reload_gives_the_frames_another_shape() {
    let backends = ["one", "two"].map(Backend::start);
    let board = Board::start(&policy(&[backends[0].address], ""), "");
    let mut events = Events::of(&board);
    assert_eq!(
        events.next("shape")["pools"][0]["backends"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let file = board.folder.path().join("p.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let one = format!("\"{}\"", backends[0].address);
    let both = format!("{one}, \"{}\"", backends[1].address);
    std::fs::write(&file, text.replace(&one, &both)).unwrap();
    assert_eq!(board.ask("POST", "/reload", &[]).0, 200);
    assert_eq!(
        events.next("shape")["pools"][0]["backends"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(events.next("tick")["backends"].as_array().unwrap().len(), 2);
}

#[test]
fn viewers_are_few_and_leave_their_place() {
    let backend = Backend::start("one");
    let board = Board::start(&policy(&[backend.address], ""), "");
    let mut viewers: Vec<_> = (0..16).map(|_| Events::of(&board)).collect();
    for viewer in &mut viewers {
        viewer.next("tick");
    }
    assert_eq!(board.get("/live").0, 503);
    assert_eq!(
        board.get("/status").0,
        200,
        "others are served all the same"
    );
    drop(viewers);
    wait_until("there is a place again", || {
        let stream = board.begin("GET", "/live", &[]).unwrap();
        let mut line = String::new();
        let _ = BufReader::new(stream).read_line(&mut line);
        line.contains(" 200 ")
    });
}

#[test]
fn the_last_hour_of_each_thing_is_told() {
    let backend = Backend::start("one");
    let board = Board::start(&policy(&[backend.address], ""), "");
    let name = backend.address;
    let paths = [
        "/history".to_owned(),
        "/history?listener=web".to_owned(),
        "/history?pool=app".to_owned(),
        format!("/history?pool=app&backend={name}"),
    ];
    wait_until("there is a point", || {
        get(board.web(), "/");
        !board.json(&paths[2])["at"].as_array().unwrap().is_empty()
    });
    for path in &paths {
        let line = board.json(path);
        assert_eq!((&line["step"], &line["most"]), (&10.into(), &360.into()));
        let lengths = ["at", "rate", "errors", "p99", "in_flight", "state"]
            .map(|column| line[column].as_array().unwrap().len());
        assert_eq!(lengths, [lengths[0]; 6], "{path}");
        assert!(line["rate"][0].as_f64().unwrap() > 0.0, "{path}: {line}");
    }
    assert_eq!(board.get("/history?moon=full").0, 400);
    assert!(
        board.json("/history?pool=none")["at"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_plan_tells_what_the_file_has_otherwise_or_what_is_wrong_with_it() {
    let backend = Backend::start("one");
    let board = Board::start(&policy(&[backend.address], ""), "");
    assert!(
        board.json("/plan")["changes"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let file = board.folder.path().join("p.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}balance = \"random\"\n")).unwrap();
    let plan = board.json("/plan");
    assert_eq!(plan["changes"][0]["kind"], "pool");
    assert_eq!(plan["changes"][0]["settings"][0]["key"], "balance");
    std::fs::write(&file, format!("{text}balence = \"random\"\n")).unwrap();
    let (status, body) = board.get("/plan");
    let problems: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problems[0]["code"]), (422, &"unknown-key".into()));
}

#[test]
fn a_part_of_the_status_can_be_asked_for() {
    let backends = ["one", "two"].map(Backend::start);
    let addresses = backends.each_ref().map(|one| one.address);
    let board = Board::start(&policy(&addresses, ""), "");
    let part = board.json(&format!("/status?pool=app&backend={}", addresses[1]));
    let own = part["pools"][0]["backends"].as_array().unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["name"], addresses[1].to_string());
    assert_eq!(board.get("/status?moon=full").0, 400);
}
