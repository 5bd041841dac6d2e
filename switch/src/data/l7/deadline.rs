//! How long a request may take in all, and how the backend learns of it (`deadline_header`).

use std::time::{Duration, Instant};

use super::forward::{decimal, field};
use super::head::RequestHead;
use crate::data::buffer::Buffer;
use crate::snapshot::Route;

/// The field by which gRPC clients tell how long they wait (gRPC over HTTP/2, "Requests").
const GRPC_TIMEOUT: &[u8] = b"grpc-timeout";

/// When the exchange must have ended. What the client says holds only where the policy passes it on,
/// and only if it is shorter.
pub fn end(request: &RequestHead, route: &Route, began: Instant) -> Option<Instant> {
    let total = route.timeouts.total;
    let shortest = match &route.deadline_header {
        None => total,
        Some(header) => {
            let told = request.fields.iter().filter_map(|line| {
                let name = request.get(line.name);
                let value = request.get(line.value);
                match name {
                    _ if name.eq_ignore_ascii_case(GRPC_TIMEOUT) => grpc_timeout(value),
                    _ if name.eq_ignore_ascii_case(header.as_bytes()) => {
                        number(value).map(Duration::from_millis)
                    }
                    _ => None,
                }
            });
            told.chain(total).min()
        }
    };
    shortest.and_then(|shortest| began.checked_add(shortest))
}

/// What a backend is told of the time that it has.
#[derive(Debug, Clone, Copy)]
pub struct Deadline<'d> {
    /// The name of the field.
    pub header: &'d [u8],
    /// What is left.
    pub left: Duration,
}

impl Deadline<'_> {
    /// Whether the client's field of this name is not passed on as it is.
    pub fn replaces(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.header) || name.eq_ignore_ascii_case(GRPC_TIMEOUT)
    }

    /// Writes what is left.
    pub fn write(&self, out: &mut Buffer, request: &RequestHead) {
        let left = u64::try_from(self.left.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let mut digits = [0; 20];
        let is_grpc = self.header.eq_ignore_ascii_case(GRPC_TIMEOUT);
        if !is_grpc {
            field(out, self.header, decimal(left, &mut digits));
        }
        let mut names = request.fields.iter().map(|line| request.get(line.name));
        if is_grpc || names.any(|name| name.eq_ignore_ascii_case(GRPC_TIMEOUT)) {
            // Eight digits at most.
            let (value, unit) = match left {
                0..100_000_000 => (left, b'm'),
                _ => ((left / 1000).min(99_999_999), b'S'),
            };
            out.extend(GRPC_TIMEOUT);
            out.extend(b": ");
            out.extend(decimal(value, &mut digits));
            out.extend(&[unit, b'\r', b'\n']);
        }
    }
}

fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let count = number(digits).filter(|_| digits.len() <= 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Digits alone; nothing longer than what could be meant.
fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all_digits)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_grpc_are_understood_and_nothing_else() {
        let cases: [(&[u8], Option<Duration>); 12] = [
            (b"1H", Some(Duration::from_secs(3600))),
            (b"2M", Some(Duration::from_secs(120))),
            (b"3S", Some(Duration::from_secs(3))),
            (b"250m", Some(Duration::from_millis(250))),
            (b"10u", Some(Duration::from_micros(10))),
            (b"99999999n", Some(Duration::from_nanos(99_999_999))),
            (b"100000000n", None),
            (b"", None),
            (b"m", None),
            (b"1", None),
            (b"-1S", None),
            (b"1 S", None),
        ];
        for (text, meant) in cases {
            assert_eq!(grpc_timeout(text), meant, "{:?}", text.escape_ascii());
        }
    }

    #[test]
    fn numbers_have_digits_alone() {
        assert_eq!(number(b"1500"), Some(1500));
        for text in ["", "+1", "1.5", "0x1", "9999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
