//! Whether this switch can serve: what is seen of its own parts, and of the peers' backends.

use std::time::{Duration, Instant};

use super::election::Fitness;

/// A data plane that has not turned for so long is taken for dead, if another switch's does turn.
const PULSE: Duration = Duration::from_secs(1);

/// What there is to judge by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signs {
    /// The interface is there and has a carrier.
    pub(super) link: bool,
    /// The first checks of its backends are over.
    pub(super) ready: bool,
    /// Clients can connect.
    pub(super) listens: bool,
    /// How long the most delayed worker has not turned.
    pub(super) pulse: Duration,
    /// Pools of which a backend is up, here.
    pub(super) pools_up: u32,
    /// The same at the peer that sees the most.
    pub(super) peers_see: u32,
}

/// Judges the signs. What only may be wrong has to last.
#[derive(Debug)]
pub(super) struct Physician {
    doubt: Duration,
    weak_since: Option<Instant>,
}

impl Physician {
    /// For so long two switches may see different backends though both are right.
    pub(super) fn new(doubt: Duration) -> Self {
        Self {
            doubt,
            weak_since: None,
        }
    }

    /// Another policy checks otherwise.
    pub(super) fn set_doubt(&mut self, doubt: Duration) {
        self.doubt = doubt;
    }

    /// How well this switch can serve, and why not better.
    pub(super) fn judge(&mut self, signs: &Signs, now: Instant) -> (Fitness, Option<&'static str>) {
        let faults = [
            (!signs.link, "its interface has no link"),
            (!signs.ready, "it has not checked its backends yet"),
            (!signs.listens, "it has no listener any more"),
        ];
        if let Some((_, why)) = faults.into_iter().find(|(fault, _)| *fault) {
            return (Fitness::Unfit, Some(why));
        }
        // Where all machines are that busy, an address that nobody holds would help nobody.
        if signs.pulse >= PULSE {
            return (Fitness::Weak, Some("its workers do not turn"));
        }
        if signs.pools_up >= signs.peers_see {
            self.weak_since = None;
            return (Fitness::Fit, None);
        }
        let since = *self.weak_since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.doubt {
            return (Fitness::Fit, None);
        }
        (
            Fitness::Weak,
            Some("a peer reaches more pools than it does"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Signs = Signs {
        link: true,
        ready: true,
        listens: true,
        pulse: Duration::ZERO,
        pools_up: 2,
        peers_see: 2,
    };

    #[test]
    fn what_is_broken_counts_at_once() {
        let mut physician = Physician::new(Duration::from_secs(5));
        let now = Instant::now();
        assert_eq!(physician.judge(&WELL, now), (Fitness::Fit, None));
        let broken = [
            Signs {
                link: false,
                ..WELL
            },
            Signs {
                listens: false,
                ..WELL
            },
        ];
        for signs in broken {
            assert_eq!(physician.judge(&signs, now).0, Fitness::Unfit, "{signs:?}");
        }
    }

    #[test]
    fn workers_that_do_not_turn_count_at_once_and_only_beside_others_that_do() {
        let mut physician = Physician::new(Duration::from_secs(5));
        let stuck = Signs {
            pulse: PULSE,
            ..WELL
        };
        assert_eq!(physician.judge(&stuck, Instant::now()).0, Fitness::Weak);
    }

    #[test]
    fn backends_that_a_peer_sees_and_this_switch_does_not_have_to_be_gone_for_a_while() {
        let mut physician = Physician::new(Duration::from_secs(5));
        let start = Instant::now();
        let blind = Signs {
            pools_up: 1,
            ..WELL
        };
        let mut judge = |signs, seconds| {
            physician
                .judge(signs, start + Duration::from_secs(seconds))
                .0
        };
        assert_eq!(judge(&blind, 0), Fitness::Fit);
        assert_eq!(judge(&blind, 4), Fitness::Fit);
        assert_eq!(judge(&WELL, 4), Fitness::Fit);
        assert_eq!(judge(&blind, 6), Fitness::Fit);
        assert_eq!(judge(&blind, 11), Fitness::Weak);
        assert_eq!(judge(&WELL, 12), Fitness::Fit);
    }

    #[test]
    fn backends_that_nobody_sees_are_no_reason_to_move() {
        let mut physician = Physician::new(Duration::ZERO);
        let none = Signs {
            pools_up: 0,
            peers_see: 0,
            ..WELL
        };
        assert_eq!(physician.judge(&none, Instant::now()).0, Fitness::Fit);
    }
}
