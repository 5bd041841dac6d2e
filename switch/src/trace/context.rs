//! The field `traceparent` (W3C Trace Context, Recommendation of 23 November 2021, 3.2).

use std::fmt;

/// The id of a trace; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

impl TraceId {
    /// Reads 32 digits; 0 is none.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let id = (digits.len() == 32).then(|| hex(digits)).flatten()?;
        (id != 0).then_some(Self(id))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span of whoever sent it; never 0.
    pub parent: u64,
    /// Whether the sender may have recorded it.
    pub sampled: bool,
}

/// The length of a version 00.
const LENGTH: usize = 55;

impl Context {
    /// Reads a value; `None` when it is none (3.2.2). Of later versions, what version 00 has is read.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (version, rest) = value.split_first_chunk::<2>()?;
        let (fields, more) = rest.split_first_chunk::<{ LENGTH - 2 }>()?;
        let fits = match hex(version)? {
            0xff => false,
            0 => more.is_empty(),
            _ => more.is_empty() || more[0] == b'-',
        };
        let dashes = [fields[0], fields[33], fields[50]] == [b'-'; 3];
        let trace = hex(&fields[1..33])?;
        let parent = hex(&fields[34..50])? as u64;
        let flags = hex(&fields[51..53])?;
        (fits && dashes && trace != 0 && parent != 0).then_some(Self {
            trace: TraceId(trace),
            parent,
            sampled: flags & 1 == 1,
        })
    }

    /// As a value of version 00.
    pub fn value(&self) -> [u8; LENGTH] {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace.0.to_be_bytes(), &mut value[3..35]);
        write_hex(&self.parent.to_be_bytes(), &mut value[36..52]);
        value[54] = if self.sampled { b'1' } else { b'0' };
        value
    }
}

/// The fields of a trace as a backend gets them, where they are not passed on as they came.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The value of `traceparent`.
    pub value: [u8; LENGTH],
    /// Whether `tracestate` is passed on: it belongs to the same trace.
    pub keeps_state: bool,
}

/// Digits in lower case alone, as the grammar has it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_recommendation_is_read_and_written() {
        let context = Context::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(
            context.trace.to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(
            (context.parent, context.sampled),
            (0x00f0_67aa_0ba9_02b7, true)
        );
        assert_eq!(context.value(), EXAMPLE.as_bytes());
    }

    /// Cases of the conformance tests of the W3C (trace-context, test/test.py).
    #[test]
    fn what_breaks_a_rule_is_no_parent() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for value in [
            String::new(),
            format!("00-{ids}"),
            format!("00-{ids}-"),
            format!("00-{ids}-1"),
            format!("00-{ids}-01-"),
            format!("00-{ids}-01-what"),
            format!("00-{ids}-011"),
            format!("00-{ids}-.0"),
            format!("ff-{ids}-01"),
            format!(".0-{ids}-01"),
            format!("0-{ids}-01"),
            format!("cc-{ids}-01.what"),
            format!(" 00-{ids}-01"),
            format!("00_{ids}_01"),
            format!("00-{}-01", ids.to_uppercase()),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            "00-.bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01".to_owned(),
        ] {
            assert_eq!(Context::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn of_later_versions_what_is_known_is_read() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (value, sampled) in [
            (format!("01-{ids}-01"), true),
            (format!("cc-{ids}-03-what-the-future"), true),
            (format!("cc-{ids}-02"), false),
            (format!("00-{ids}-fe"), false),
        ] {
            let context = Context::parse(value.as_bytes());
            assert_eq!(context.map(|one| one.sampled), Some(sampled), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Context::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(trace in 1_u128.., parent in 1_u64.., sampled: bool) {
            let context = Context { trace: TraceId(trace), parent, sampled };
            prop_assert_eq!(Context::parse(&context.value()), Some(context));
        }
    }
}
