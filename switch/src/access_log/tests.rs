//! The log from a worker's entry to the file.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use pointsman_config::policy::{self, LogField, LogTarget};
use serde_json::{Value, json};

use super::{AccessLog, BUFFER, Entry, WAITING};
use crate::error::Reason;
use crate::metrics::Protocol;
use crate::trace::TraceId;

const PATIENCE: Duration = Duration::from_secs(10);

const ALL: [LogField; 21] = [
    LogField::Time,
    LogField::Listener,
    LogField::Client,
    LogField::Method,
    LogField::Host,
    LogField::Path,
    LogField::Query,
    LogField::Protocol,
    LogField::Status,
    LogField::Reason,
    LogField::Route,
    LogField::Pool,
    LogField::Backend,
    LogField::Attempts,
    LogField::Duration,
    LogField::BackendDuration,
    LogField::RequestBytes,
    LogField::ResponseBytes,
    LogField::TraceId,
    LogField::UserAgent,
    LogField::Referer,
];

#[test]
fn a_line_holds_every_chosen_field_in_order() {
    let line = one_line(&ALL, &entry());
    let expected = json!({
        "time": "1970-01-01T00:00:01.500Z", "listener": "web", "client": "192.0.2.1",
        "method": "GET", "host": "shop.example", "path": "/a", "query": "b=c",
        "protocol": "HTTP/1.1", "status": 504, "reason": "timeout", "route": "shop",
        "pool": "app", "backend": "a", "attempts": 2, "duration": 1.25,
        "backend_duration": 0.5, "request_bytes": 7, "response_bytes": 8,
        "trace_id": "00000000000000000000000000004bf9",
        "user_agent": "curl", "referer": "https://example",
    });
    let keys = |value: &Value| {
        value
            .as_object()
            .map(|o| o.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(line, expected);
    assert_eq!(keys(&line), keys(&expected));
}

#[test]
fn fields_without_a_value_are_left_out() {
    let bare = Entry {
        client: None,
        method: None,
        host: None,
        path: None,
        query: None,
        reason: None,
        route: None,
        pool: None,
        backend: None,
        backend_duration: None,
        trace: None,
        user_agent: None,
        referer: None,
        ..entry()
    };
    let fields = [
        LogField::Client,
        LogField::Reason,
        LogField::Status,
        LogField::Backend,
    ];
    assert_eq!(one_line(&fields, &bare), json!({ "status": 504 }));
    assert_eq!(one_line(&[LogField::Host], &bare), json!({}));
}

#[test]
fn what_a_client_sends_cannot_break_a_line_or_add_a_field() {
    let attack = b"\",\"status\":200}\n{\"forged\":1}\r\n\0\x1b[2J\xff";
    let entry = Entry {
        method: Some(attack),
        host: Some(attack),
        path: Some(attack),
        query: Some(attack),
        user_agent: Some(attack),
        referer: Some(attack),
        ..entry()
    };
    let line = one_line(&ALL, &entry);
    assert_eq!(line["status"], 504);
    assert_eq!(line.as_object().map(|fields| fields.len()), Some(ALL.len()));
    assert_eq!(
        line["path"],
        "\",\"status\":200}\n{\"forged\":1}\r\n\0\u{1b}[2J\\xff"
    );
}

#[test]
fn an_ipv4_client_of_a_socket_for_both_families_is_shown_as_ipv4() {
    let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped());
    let line = one_line(
        &[LogField::Client],
        &Entry {
            client: Some(mapped),
            ..entry()
        },
    );
    assert_eq!(line["client"], "192.0.2.9");
}

#[test]
fn lines_of_several_workers_stay_whole() {
    let (folder, path) = place();
    let log = open(&path, &ALL);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let writer = log.writer();
            scope.spawn(move || {
                for _ in 0..500 {
                    writer.line(&entry());
                }
            });
        }
    });
    let dropped = log.dropped();
    assert!(log.close(PATIENCE));
    let text = fs::read_to_string(&path).expect("the log is UTF-8");
    for line in text.lines() {
        let parsed: Value = serde_json::from_str(line).expect("a whole line");
        assert_eq!(parsed["path"], "/a");
    }
    assert_eq!(
        text.lines().count() as u64 + dropped.load(Ordering::Relaxed),
        2000
    );
    drop(folder);
}

#[test]
fn a_target_that_nobody_reads_drops_lines_and_holds_nobody_up() {
    let (folder, path) = place();
    let fifo = rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    );
    fifo.expect("a named pipe");
    // Without a reader, opening the pipe would wait.
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("the pipe");
    let log = open(&path, &[LogField::Path]);
    let writer = log.writer();
    let long = vec![b'a'; 4096];
    let entries = (WAITING + 4) * BUFFER / long.len();
    for _ in 0..entries {
        writer.line(&Entry {
            path: Some(&long),
            ..entry()
        });
    }
    assert!(log.dropped().load(Ordering::Relaxed) > 0);
    drop((writer, reader));
    assert!(
        log.close(PATIENCE),
        "the broken pipe ends the writer's wait"
    );
    drop(folder);
}

#[test]
fn after_a_rotation_lines_go_to_a_new_file() {
    let (folder, path) = place();
    let log = open(&path, &[LogField::Path]);
    let writer = log.writer();
    writer.line(&entry());
    writer.flush();
    until(|| fs::read_to_string(&path).is_ok_and(|text| text == "{\"path\":\"/a\"}\n"));

    let old = path.with_extension("1");
    fs::rename(&path, &old).expect("the file moves");
    log.reopen().expect("a new file");
    writer.line(&Entry {
        path: Some(b"/b"),
        ..entry()
    });
    drop(writer);
    assert!(log.close(PATIENCE));

    assert_eq!(
        fs::read_to_string(&path).expect("new"),
        "{\"path\":\"/b\"}\n"
    );
    assert_eq!(
        fs::read_to_string(&old).expect("old"),
        "{\"path\":\"/a\"}\n"
    );
    drop(folder);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_and_keeps_the_old_one() {
    let (folder, path) = place();
    let log = open(&path, &[LogField::Path]);
    fs::remove_file(&path).expect("the file goes");
    fs::create_dir(&path).expect("a folder in its place");
    assert!(log.reopen().is_err());
    let settings = policy::AccessLog {
        target: LogTarget::File(path),
        fields: Vec::new(),
    };
    assert!(AccessLog::open(&settings).is_err());
    log.writer().line(&entry());
    let dropped = log.dropped();
    assert!(log.close(PATIENCE));
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(folder);
}

fn entry() -> Entry<'static> {
    Entry {
        time: UNIX_EPOCH + Duration::from_millis(1500),
        listener: "web",
        client: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        method: Some(b"GET"),
        host: Some(b"shop.example"),
        path: Some(b"/a"),
        query: Some(b"b=c"),
        protocol: Protocol::Http11,
        status: 504,
        reason: Some(Reason::Timeout),
        route: Some("shop"),
        pool: Some("app"),
        backend: Some("a"),
        attempts: 2,
        duration: Duration::from_millis(1250),
        backend_duration: Some(Duration::from_millis(500)),
        request_bytes: 7,
        response_bytes: 8,
        trace: Some(TraceId(0x4bf9)),
        user_agent: Some(b"curl"),
        referer: Some(b"https://example"),
    }
}

fn one_line(fields: &[LogField], entry: &Entry<'_>) -> Value {
    let (folder, path) = place();
    let log = open(&path, fields);
    log.writer().line(entry);
    assert!(log.close(PATIENCE));
    let text = fs::read_to_string(path).expect("the log is UTF-8");
    drop(folder);
    let line = text.strip_suffix('\n').expect("a line feed at the end");
    assert!(!line.contains('\n'), "{line}");
    serde_json::from_str(line).expect("one JSON object")
}

fn open(path: &Path, fields: &[LogField]) -> AccessLog {
    let target = LogTarget::File(path.to_owned());
    let settings = policy::AccessLog {
        target,
        fields: fields.to_vec(),
    };
    AccessLog::open(&settings).expect("the log opens")
}

fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    (folder, path)
}

fn until(condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}
