//! One line: what is known of a request, and how it is written.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use pointsman_config::policy::LogField;

use super::json;
use super::time::Clock;
use crate::error::Reason;
use crate::metrics::Protocol;
use crate::trace::TraceId;

/// What is known of one finished request. What is `None` is left out of its line.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When the request's head was complete.
    pub time: SystemTime,
    /// The listener's name.
    pub listener: &'a str,
    /// The client's address; `None` for Unix sockets.
    pub client: Option<IpAddr>,
    /// The method as it was sent; `None` when the head could not be read.
    pub method: Option<&'a [u8]>,
    /// The authority that was asked for.
    pub host: Option<&'a [u8]>,
    /// The path without the query.
    pub path: Option<&'a [u8]>,
    /// The query without its question mark.
    pub query: Option<&'a [u8]>,
    /// The protocol that the client spoke.
    pub protocol: Protocol,
    /// The status code.
    pub status: u16,
    /// What went wrong, if anything did.
    pub reason: Option<Reason>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The pool's name.
    pub pool: Option<&'a str>,
    /// The name of the backend that was tried last.
    pub backend: Option<&'a str>,
    /// Backends that were tried.
    pub attempts: u32,
    /// From the head to the last byte.
    pub duration: Duration,
    /// From the last attempt to the answer's head.
    pub backend_duration: Option<Duration>,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    /// The trace that the request belongs to.
    pub trace: Option<TraceId>,
    /// The field `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// The field `Referer`.
    pub referer: Option<&'a [u8]>,
}

impl Entry<'_> {
    /// Appends the line, its line feed included.
    pub(super) fn write(&self, fields: &[LogField], clock: &mut Clock, out: &mut Vec<u8>) {
        out.push(b'{');
        let empty = out.len();
        for field in fields {
            let before = out.len();
            if before > empty {
                out.push(b',');
            }
            out.extend_from_slice(key(*field));
            if !self.value(*field, clock, out) {
                out.truncate(before);
            }
        }
        out.extend_from_slice(b"}\n");
    }

    /// Appends the field's value; `false` when there is none.
    fn value(&self, field: LogField, clock: &mut Clock, out: &mut Vec<u8>) -> bool {
        match field {
            LogField::Time => clock.write(self.time, out),
            LogField::Listener => json::string(self.listener.as_bytes(), out),
            LogField::Client => return self.client(out),
            LogField::Method => return optional(self.method, out),
            LogField::Host => return optional(self.host, out),
            LogField::Path => return optional(self.path, out),
            LogField::Query => return optional(self.query, out),
            LogField::Protocol => json::string(self.protocol.word().as_bytes(), out),
            LogField::Status => number(u64::from(self.status), out),
            LogField::Reason => return optional(self.reason.map(|r| r.word().as_bytes()), out),
            LogField::Route => return optional(self.route.map(str::as_bytes), out),
            LogField::Pool => return optional(self.pool.map(str::as_bytes), out),
            LogField::Backend => return optional(self.backend.map(str::as_bytes), out),
            LogField::Attempts => number(u64::from(self.attempts), out),
            LogField::Duration => seconds(self.duration, out),
            LogField::BackendDuration => match self.backend_duration {
                Some(duration) => seconds(duration, out),
                None => return false,
            },
            LogField::RequestBytes => number(self.request_bytes, out),
            LogField::ResponseBytes => number(self.response_bytes, out),
            LogField::TraceId => return self.trace(out),
            LogField::UserAgent => return optional(self.user_agent, out),
            LogField::Referer => return optional(self.referer, out),
        }
        true
    }

    fn trace(&self, out: &mut Vec<u8>) -> bool {
        let Some(trace) = self.trace else {
            return false;
        };
        let _ = write!(out, "\"{trace}\"");
        true
    }

    fn client(&self, out: &mut Vec<u8>) -> bool {
        let Some(client) = self.client else {
            return false;
        };
        // A socket that takes both families shows IPv4 clients as ::ffff:192.0.2.1.
        let _ = write!(out, "\"{}\"", client.to_canonical());
        true
    }
}

/// The field's name with quotes and colon.
fn key(field: LogField) -> &'static [u8] {
    match field {
        LogField::Time => b"\"time\":",
        LogField::Listener => b"\"listener\":",
        LogField::Client => b"\"client\":",
        LogField::Method => b"\"method\":",
        LogField::Host => b"\"host\":",
        LogField::Path => b"\"path\":",
        LogField::Query => b"\"query\":",
        LogField::Protocol => b"\"protocol\":",
        LogField::Status => b"\"status\":",
        LogField::Reason => b"\"reason\":",
        LogField::Route => b"\"route\":",
        LogField::Pool => b"\"pool\":",
        LogField::Backend => b"\"backend\":",
        LogField::Attempts => b"\"attempts\":",
        LogField::Duration => b"\"duration\":",
        LogField::BackendDuration => b"\"backend_duration\":",
        LogField::RequestBytes => b"\"request_bytes\":",
        LogField::ResponseBytes => b"\"response_bytes\":",
        LogField::TraceId => b"\"trace_id\":",
        LogField::UserAgent => b"\"user_agent\":",
        LogField::Referer => b"\"referer\":",
    }
}

fn optional(value: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
    value.map(|value| json::string(value, out)).is_some()
}

fn number(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Seconds with six decimals.
fn seconds(duration: Duration, out: &mut Vec<u8>) {
    number(duration.as_secs(), out);
    let mut decimals = *b".000000";
    let mut rest = duration.subsec_micros();
    for digit in decimals[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&decimals);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for value in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }

    #[test]
    fn a_duration_keeps_the_zeros_of_its_decimals() {
        for (micros, text) in [(0, "0.000000"), (7, "0.000007"), (12_000_340, "12.000340")] {
            let mut out = Vec::new();
            seconds(Duration::from_micros(micros), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }
}
