//! What goes down to the client: the backend's fields without what was meant for this switch only,
//! the route's edits, and answers that the switch makes itself.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use pointsman_config::policy::{HeaderEdits, Redirect, Respond};
use smallvec::SmallVec;

use super::client::Outgoing;
use super::field::{self, Known};
use super::head::{Framing, RequestHead, ResponseHead};
use super::view;
use crate::error::Reason;

/// The methods that are served; others are forwarded all the same, but for CONNECT and TRACE.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Fields on their way to the client.
pub type Lines<'a> = SmallVec<[(&'a [u8], &'a [u8]); 32]>;

/// The fields of a backend's response that the client gets.
pub fn fields<'a>(head: &ResponseHead, bytes: &'a [u8], edits: &'a HeaderEdits) -> Lines<'a> {
    let lists = head
        .fields
        .iter()
        .any(|field| field.known == Known::Connection);
    let mut lines = Lines::new();
    for line in &head.fields {
        let (name, value) = (line.name.in_bytes(bytes), line.value.in_bytes(bytes));
        let passes = line.known != Known::ContentLength && !line.known.is_hop_by_hop();
        let listed = lists && !line.known.is_vital() && connection_lists(head, bytes, name);
        if passes && !listed && !field::is_edited(edits, name) {
            lines.push((name, value));
        }
    }
    let added = edits.set.iter().chain(&edits.add);
    lines.extend(added.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    lines
}

fn connection_lists(head: &ResponseHead, bytes: &[u8], name: &[u8]) -> bool {
    head.fields
        .iter()
        .filter(|line| line.known == Known::Connection)
        .any(|line| field::list_has(line.value.in_bytes(bytes), name))
}

/// An answer that the switch makes itself.
#[derive(Debug)]
pub struct Local {
    /// The status code.
    pub status: u16,
    /// Its fields but Content-Length and Date.
    pub fields: Vec<(&'static str, String)>,
    /// The body; not sent to HEAD.
    pub body: String,
}

impl Local {
    /// The answer to a request that could not be served. It names no inner address.
    pub fn error(reason: Reason) -> Self {
        let status = reason.status();
        let proxy_status = format!(
            "pointsman; error={}; details=\"{}\"",
            reason.proxy_error(),
            reason.word()
        );
        let mut fields = vec![
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Proxy-Status", proxy_status),
        ];
        if status == 503 || status == 429 {
            fields.push(("Retry-After", "1".to_owned()));
        }
        if status == 405 {
            fields.push(("Allow", METHODS.to_owned()));
        }
        Self {
            status,
            fields,
            body: format!("{status} {}\n", phrase(status)),
        }
    }

    /// The answer to OPTIONS that may not be forwarded any further.
    pub fn options() -> Self {
        Self {
            status: 204,
            fields: vec![("Allow", METHODS.to_owned())],
            body: String::new(),
        }
    }

    /// The answer of a route's `respond`.
    pub fn fixed(respond: &Respond) -> Self {
        Self {
            status: respond.status,
            fields: vec![("Content-Type", respond.content_type.clone())],
            body: respond.body.clone(),
        }
    }

    /// The answer of a `redirect`.
    pub fn redirect(redirect: &Redirect, request: &RequestHead) -> Self {
        let target = view::target(request);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let authority = view::authority(request);
        let (host, _) = super::classify::split_port(authority.as_bytes());
        let host = std::str::from_utf8(host).unwrap_or_default();
        let location = redirect
            .to
            .replace("{host}", host)
            .replace("{path}", path)
            .replace("{query}", query)
            .replace("{uri}", target);
        Self {
            status: redirect.status,
            fields: vec![("Location", location)],
            body: String::new(),
        }
    }

    /// Its fields for sending.
    pub fn lines<'a>(&'a self, date: &'a str) -> Lines<'a> {
        let mut lines = Lines::new();
        lines.push((b"Date", date.as_bytes()));
        lines.extend(
            self.fields
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        lines
    }

    /// Its head for sending.
    pub fn outgoing<'a>(&self, lines: &'a [(&'a [u8], &'a [u8])], close: bool) -> Outgoing<'a> {
        let length = self.body.len() as u64;
        let bodiless = matches!(self.status, 204 | 304);
        Outgoing {
            status: self.status,
            phrase: phrase(self.status).as_bytes(),
            fields: lines,
            framing: if length == 0 || bodiless {
                Framing::None
            } else {
                Framing::Length(length)
            },
            content_length: (!bodiless).then_some(length),
            close,
        }
    }
}

/// The reason phrase of a status code.
pub fn phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason())
        .unwrap_or("Unknown")
}

/// The time of now for a Date field (RFC 9110 6.6.1), made at most twice a second.
pub fn date() -> String {
    thread_local! {
        static DATE: RefCell<Option<(Instant, String)>> = const { RefCell::new(None) };
    }
    DATE.with_borrow_mut(|kept| match kept {
        Some((made, text)) if made.elapsed() < Duration::from_millis(500) => text.clone(),
        _ => {
            let text = httpdate::fmt_http_date(SystemTime::now());
            *kept = Some((Instant::now(), text.clone()));
            text
        }
    })
}
