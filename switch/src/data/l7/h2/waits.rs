//! Since when a connection has waited for something, and what comes of it. Pure: time is given.

use std::time::{Duration, Instant};

/// How long a client is given to answer a farewell, and to take the last bytes.
pub const LINGER: Duration = Duration::from_secs(2);

/// How long may be waited for what.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the client's first settings, and for the end of a header block.
    pub head: Duration,
    /// For the next request.
    pub idle: Duration,
    /// For the client to take output.
    pub taking: Duration,
}

/// What a connection waits for at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// The client's first settings.
    pub start: bool,
    /// The end of a header block, or of a frame that may hold one.
    pub block: bool,
    /// The next request, and nothing else.
    pub request: bool,
    /// The client's answer to the first farewell.
    pub farewell: bool,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing before this time has passed, if ever.
    Wait(Option<Duration>),
    /// The client has had its time: the connection ends.
    Cut,
    /// The client is asked to leave.
    Ask,
    /// The client is told that this side leaves.
    Tell,
}

/// Since when something is waited for.
#[derive(Debug, Default)]
pub struct Waits {
    start: Option<Instant>,
    block: Option<Instant>,
    request: Option<Instant>,
    farewell: Option<Instant>,
    taking: Option<Instant>,
}

impl Waits {
    /// Notes what is waited for now; what was waited for before goes on.
    pub fn see(&mut self, seen: Seen, now: Instant) {
        note(&mut self.start, seen.start, now);
        note(&mut self.block, seen.block, now);
        note(&mut self.request, seen.request, now);
        note(&mut self.farewell, seen.farewell, now);
    }

    /// A request arrived.
    pub fn arrived(&mut self) {
        self.request = None;
    }

    /// No header block is under way any more, whatever begins now.
    pub fn block_ended(&mut self) {
        self.block = None;
    }

    /// The client took all of the output; or, where there is more, took some or none.
    pub fn took(&mut self, all: bool, some: bool, now: Instant) {
        self.taking = match (all, some) {
            (true, _) => None,
            (false, true) => Some(now),
            (false, false) => Some(self.taking.unwrap_or(now)),
        };
    }

    /// How long the next request may still be waited for, if that is all that is waited for.
    pub fn idle_left(&self, limits: Limits, now: Instant) -> Option<Duration> {
        left(self.request, limits.idle, now)
    }

    /// What is to be done.
    pub fn judge(&self, limits: Limits, now: Instant) -> Verdict {
        let cuts = [
            left(self.start, limits.head, now),
            left(self.block, limits.head, now),
            left(self.taking, limits.taking, now),
        ];
        let idle = self.idle_left(limits, now);
        let farewell = left(self.farewell, LINGER, now);
        let passed = |left: Option<Duration>| left.is_some_and(|left| left.is_zero());
        if cuts.into_iter().any(passed) {
            Verdict::Cut
        } else if passed(idle) {
            Verdict::Ask
        } else if passed(farewell) {
            Verdict::Tell
        } else {
            Verdict::Wait(cuts.into_iter().chain([idle, farewell]).flatten().min())
        }
    }
}

fn note(wait: &mut Option<Instant>, on: bool, now: Instant) {
    *wait = match on {
        true => Some(wait.unwrap_or(now)),
        false => None,
    };
}

fn left(since: Option<Instant>, limit: Duration, now: Instant) -> Option<Duration> {
    since.map(|since| limit.saturating_sub(now.saturating_duration_since(since)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        head: Duration::from_secs(5),
        idle: Duration::from_secs(60),
        taking: Duration::from_secs(30),
    };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn each_wait_has_its_own_end() {
        let nothing = Seen::default();
        let cases = [
            (
                Seen {
                    start: true,
                    ..nothing
                },
                5,
                Verdict::Cut,
            ),
            (
                Seen {
                    block: true,
                    ..nothing
                },
                5,
                Verdict::Cut,
            ),
            (
                Seen {
                    request: true,
                    ..nothing
                },
                60,
                Verdict::Ask,
            ),
            (
                Seen {
                    farewell: true,
                    ..nothing
                },
                2,
                Verdict::Tell,
            ),
        ];
        for (seen, limit, verdict) in cases {
            let (mut waits, now) = (Waits::default(), Instant::now());
            waits.see(seen, now);
            waits.see(seen, now + seconds(1));
            let rest = Verdict::Wait(Some(seconds(limit - 1)));
            assert_eq!(waits.judge(LIMITS, now + seconds(1)), rest);
            assert_eq!(waits.judge(LIMITS, now + seconds(limit)), verdict);
            waits.see(nothing, now + seconds(limit));
            assert_eq!(
                waits.judge(LIMITS, now + seconds(1000)),
                Verdict::Wait(None)
            );
        }
    }

    #[test]
    fn a_client_that_takes_a_little_now_and_then_is_borne() {
        let (mut waits, now) = (Waits::default(), Instant::now());
        waits.took(false, false, now);
        waits.took(false, true, now + seconds(29));
        waits.took(false, false, now + seconds(40));
        let rest = Verdict::Wait(Some(seconds(1)));
        assert_eq!(waits.judge(LIMITS, now + seconds(58)), rest);
        assert_eq!(waits.judge(LIMITS, now + seconds(59)), Verdict::Cut);
        waits.took(true, true, now + seconds(59));
        assert_eq!(waits.judge(LIMITS, now + seconds(99)), Verdict::Wait(None));
    }

    #[test]
    fn a_request_that_came_and_went_begins_the_idle_time_anew() {
        let (mut waits, now) = (Waits::default(), Instant::now());
        let idle = Seen {
            request: true,
            ..Seen::default()
        };
        waits.see(idle, now);
        waits.arrived();
        waits.see(idle, now + seconds(59));
        let rest = Verdict::Wait(Some(seconds(60)));
        assert_eq!(waits.judge(LIMITS, now + seconds(59)), rest);
    }
}
