//! The admin token: who shows it may change something over TCP.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, digest};
use pointsman_config::policy::Secret;

/// Wrong tokens that one address may show within [`WINDOW`].
const FAILURES: u32 = 10;
/// An address that has shown too many is not heard for so long after its first.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; when there are more, nobody new is heard until one is forgotten.
const ADDRESSES: usize = 1024;

/// What is thought of what a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// The token.
    Right,
    /// Something else.
    Wrong,
    /// Too many wrong ones came from there: it was not looked at.
    TooMany,
}

/// Remembers who has shown wrong tokens.
#[derive(Debug, Default)]
pub(super) struct Doorman(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug)]
struct Failures {
    first: Instant,
    count: u32,
}

impl Doorman {
    /// Looks at the value of an Authorization field.
    pub(super) fn look(
        &self,
        token: &Secret,
        field: Option<&[u8]>,
        from: IpAddr,
        now: Instant,
    ) -> Shown {
        let Some(shown) = field.and_then(bearer) else {
            return Shown::Nothing;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, failures| now.saturating_duration_since(failures.first) < WINDOW);
        let known = all.get(&from).map_or(0, |failures| failures.count);
        if known >= FAILURES || (known == 0 && all.len() >= ADDRESSES) {
            return Shown::TooMany;
        }
        if equal(shown, token.expose().as_bytes()) {
            return Shown::Right;
        }
        let failures = all.entry(from).or_insert(Failures {
            first: now,
            count: 0,
        });
        failures.count += 1;
        Shown::Wrong
    }
}

/// The token in `Bearer TOKEN` (RFC 6750 2.1).
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked("bearer".len())?;
    let token = token.strip_prefix(b" ")?.trim_ascii();
    scheme.eq_ignore_ascii_case(b"bearer").then_some(token)
}

/// Takes the same time wherever they differ, and whatever their lengths are.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let [one, other] = [one, other].map(|text| digest::digest(&digest::SHA256, text));
    constant_time::verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn look(doorman: &Doorman, field: &str, from: IpAddr, now: Instant) -> Shown {
        let token = Secret::new("0123456789abcdef");
        doorman.look(&token, Some(field.as_bytes()), from, now)
    }

    #[test]
    fn only_the_whole_token_is_right() {
        let (doorman, now) = (Doorman::default(), Instant::now());
        let cases = [
            ("Bearer 0123456789abcdef", Shown::Right),
            ("bearer  0123456789abcdef ", Shown::Right),
            ("Bearer 0123456789abcde", Shown::Wrong),
            ("Bearer 0123456789abcdef0", Shown::Wrong),
            ("Bearer ", Shown::Wrong),
            ("Bearer", Shown::Nothing),
            ("Basic 0123456789abcdef", Shown::Nothing),
            ("", Shown::Nothing),
        ];
        for (field, expected) in cases {
            assert_eq!(look(&doorman, field, HERE, now), expected, "{field}");
        }
    }

    #[test]
    fn who_guesses_too_often_is_not_heard_for_a_minute() {
        let (doorman, now) = (Doorman::default(), Instant::now());
        for _ in 0..FAILURES {
            assert_eq!(look(&doorman, "Bearer x", HERE, now), Shown::Wrong);
        }
        let right = "Bearer 0123456789abcdef";
        assert_eq!(look(&doorman, right, HERE, now), Shown::TooMany);
        let other = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(look(&doorman, right, other, now), Shown::Right);
        assert_eq!(look(&doorman, right, HERE, now + WINDOW), Shown::Right);
    }

    #[test]
    fn the_memory_for_guessers_is_bounded() {
        let (doorman, now) = (Doorman::default(), Instant::now());
        for n in 0..=ADDRESSES as u32 {
            look(&doorman, "Bearer x", IpAddr::from(n.to_be_bytes()), now);
        }
        let all = doorman.0.lock().expect("nobody panicked");
        assert_eq!(all.len(), ADDRESSES);
    }
}
