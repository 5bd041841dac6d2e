//! The corpora of `fuzz/corpus/` and mutations of plain messages, run through what the fuzzers run.

use std::path::Path;

use pointsman_config::policy::Desync;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::error::Reason;

/// Every seed of a target with its name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let entries = std::fs::read_dir(folder.join(target)).expect("the corpus is there");
    let mut seeds: Vec<_> = entries
        .map(|entry| entry.expect("it is readable").path())
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy();
            (name.into_owned(), std::fs::read(&path).expect("readable"))
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 10, "the corpus of {target} is too small");
    seeds
}

/// The name of the seed that is run is the last line of output when one fails.
#[expect(clippy::print_stdout, reason = "shown when the test fails alone")]
fn run(target: &str, drive: fn(&[u8])) {
    for (name, bytes) in seeds(target) {
        println!("{target}/{name}");
        drive(&bytes);
    }
}

#[test]
fn no_request_of_the_corpus_goes_up_ambiguously() {
    run("request_head", request_head);
}

#[test]
fn no_response_of_the_corpus_goes_down_ambiguously() {
    run("response_head", response_head);
}

#[test]
fn bodies_of_the_corpus_say_the_same_however_they_are_cut() {
    run("chunked", chunked);
}

#[test]
fn no_request_of_the_corpus_comes_down_from_http2_ambiguously() {
    run("h2_downgrade", h2_downgrade);
}

#[test]
fn no_connection_of_the_corpus_breaks_the_machine_of_http2() {
    run("h2_connection", h2_connection);
}

#[test]
fn proxy_headers_of_the_corpus_get_one_answer() {
    run("proxy_protocol", super::proxy_protocol);
}

#[test]
fn requests_of_the_corpus_are_refused_and_taken_as_their_names_say() {
    let mut counts = [0, 0];
    for (name, bytes) in seeds("request_head") {
        let outcome = request::outcome(&bytes, Desync::Strict);
        let defensive = request::outcome(&bytes, Desync::Defensive);
        let as_named = match name.split('-').next() {
            Some("refused") => outcome.is_err() && defensive.is_err(),
            Some("ambiguous") => outcome.is_err() && defensive == Ok(true),
            Some("taken") => outcome == Ok(true) && defensive == Ok(true),
            Some("partial") => outcome == Ok(false),
            _ => panic!("{name} does not say what becomes of it"),
        };
        assert!(
            as_named,
            "{name}: strict {outcome:?}, defensive {defensive:?}"
        );
        counts[usize::from(outcome == Ok(true))] += 1;
    }
    assert!(counts[0] >= 30 && counts[1] >= 10, "{counts:?}");
}

#[test]
fn a_request_line_that_smuggles_is_never_partly_read() {
    let text =
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    let outcome = request::outcome(text, Desync::Strict);
    assert_eq!(outcome, Err(Reason::Ambiguous));
}

const FIELDS: [&str; 24] = [
    "Host: h",
    "Host: other",
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: 5, 5",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: CHUNKED",
    "Transfer-Encoding: identity",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: keep-alive, X-Hop, Host, Content-Length",
    "Connection: Upgrade, TE",
    "Upgrade: websocket",
    "TE: trailers, gzip",
    "Expect: 100-continue",
    "X-Forwarded-For: 203.0.113.9, 192.0.2.9",
    "X_Forwarded_For: 203.0.113.9",
    "Forwarded: for=203.0.113.9",
    "Via: 1.1 other",
    "Max-Forwards: 3",
    "X-Hop: a\tb",
];
const STARTS: [&str; 8] = [
    "GET / HTTP/1.1",
    "POST /api/x?y=z HTTP/1.1",
    "HEAD /api HTTP/1.1",
    "GET http://h/x HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "PUT /%2e%2e/a HTTP/1.0",
    "BREW //x HTTP/1.1",
    "GET http://h?q HTTP/1.1",
];
const BODIES: [&str; 6] = [
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n",
    "helloGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n",
];
const STATUSES: [&str; 8] = [
    "HTTP/1.1 200 OK",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 103 Early Hints",
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 500 ",
    "HTTP/1.1 404",
];
/// Bytes that parsers disagree on.
const ODD: [&str; 20] = [
    "\r", "\n", "\r\n", "\r\n\r\n", "\0", " ", "\t", "\r\n ", ":", ",", ";", "\x0b", "\x0c",
    "\x7f", "é", "\"", "+", "0x", "#", "HTTP/0.9",
];

/// Bytes that are shown as text.
#[derive(Clone, PartialEq, Eq)]
struct Message(Vec<u8>);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One change of a message.
#[derive(Debug, Clone)]
enum Change {
    Insert(Index, usize),
    Replace(Index, u8),
    Cut(Index, usize),
    Repeat(Index, usize),
    Case(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), 0..ODD.len()).prop_map(|(at, odd)| Change::Insert(at, odd)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<Index>(), 1..20usize).prop_map(|(at, n)| Change::Cut(at, n)),
        (any::<Index>(), 1..30usize).prop_map(|(at, n)| Change::Repeat(at, n)),
        any::<Index>().prop_map(Change::Case),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        match change {
            Change::Insert(at, odd) => {
                let at = at.index(len + 1);
                bytes.splice(at..at, ODD[*odd].bytes());
            }
            Change::Replace(at, byte) => bytes[at.index(len)] = *byte,
            Change::Cut(at, n) => {
                let at = at.index(len);
                bytes.drain(at..len.min(at + n));
            }
            Change::Repeat(at, n) => {
                let at = at.index(len);
                let part = bytes[at..len.min(at + n)].to_vec();
                bytes.splice(at..at, part);
            }
            Change::Case(at) => {
                let byte = &mut bytes[at.index(len)];
                *byte = match byte.is_ascii_lowercase() {
                    true => byte.to_ascii_uppercase(),
                    false => byte.to_ascii_lowercase(),
                };
            }
        }
    }
    bytes
}

/// Messages put together of plain and doubtful lines, with a few changes.
fn messages(starts: &'static [&'static str], host: bool) -> impl Strategy<Value = Message> {
    let fields = vec(0..FIELDS.len(), 0..6);
    (
        0..starts.len(),
        fields,
        0..BODIES.len(),
        vec(change(), 0..4),
    )
        .prop_map(move |(start, fields, body, changes)| {
            let mut text = format!("{}\r\n", starts[start]);
            if host {
                text.push_str("Host: h\r\n");
            }
            for field in fields {
                text.push_str(FIELDS[field]);
                text.push_str("\r\n");
            }
            text.push_str("\r\n");
            text.push_str(BODIES[body]);
            Message(changed(text.into_bytes(), &changes))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn mutated_requests_go_up_plainly_or_not_at_all(message in messages(&STARTS, true)) {
        request_head(&message.0);
    }

    #[test]
    fn mutated_responses_go_down_plainly_or_not_at_all(message in messages(&STATUSES, false)) {
        response_head(&message.0);
    }

    #[test]
    fn mutated_chunks_say_the_same_however_they_are_cut(
        body in 2..BODIES.len(),
        changes in vec(change(), 0..5),
    ) {
        chunked(&changed(BODIES[body].into(), &changes));
    }
}
