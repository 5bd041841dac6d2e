//! Is a peer alive? Its silence, judged without a socket or a clock.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// How late a heartbeat may be beyond its time: less is scheduling.
const GRACE: Duration = Duration::from_millis(1);

/// A process whose system answers for it is alive but late. So many times the silence that would
/// be a death otherwise is forgiven.
const LATE: u32 = 10;

/// Who listens for the heartbeats of one peer. Before the first one it judges nothing: heartbeats may
/// not get through at all.
#[derive(Debug)]
pub struct Watch {
    heartbeat: Duration,
    misses: u32,
    heard: Option<Instant>,
    /// Since then the peer's process has probably died.
    doubted: Option<Instant>,
    /// A successor may be on its way until then.
    suspended: Option<Instant>,
    /// Silence since the last heartbeat during which we did not run.
    slept: Duration,
    /// When the peer's system was last asked whether it is there, and when it last answered.
    asked: Option<Instant>,
    answered: Option<Instant>,
    dead: bool,
}

impl Watch {
    /// The peer sends every `heartbeat`; `misses` of them in a row, at least one, are a death.
    pub fn new(heartbeat: Duration, misses: u32) -> Self {
        Self {
            heartbeat,
            misses: misses.max(1),
            heard: None,
            doubted: None,
            suspended: None,
            slept: Duration::ZERO,
            asked: None,
            answered: None,
            dead: false,
        }
    }

    /// A heartbeat has come.
    pub fn heard(&mut self, now: Instant) {
        let limit = self.limit();
        // What a dead process had sent has long arrived by then: the session alone has ended.
        self.doubted = self.doubted.filter(|since| now < *since + limit);
        self.heard = Some(now);
        self.asked = None;
        self.answered = None;
        self.slept = Duration::ZERO;
        self.dead = false;
    }

    /// A session with the peer is open. Silence counts from the next heartbeat on.
    pub fn session_opened(&mut self) {
        *self = Self::new(self.heartbeat, self.misses);
    }

    /// Whether the peer's system is to be asked now whether it is there: when the last heartbeat but
    /// one has been missed, and with each one after that.
    pub fn asks(&mut self, now: Instant) -> bool {
        let asks = self.asks_at().is_some_and(|at| now >= at);
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// The peer's system has answered.
    pub fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// The session was closed without a farewell: the process has probably died. One missed heartbeat
    /// is enough until it is heard again for as long as its silence would have been a death; if none
    /// was ever heard, the end of the session is.
    pub fn session_ended(&mut self, now: Instant) {
        self.doubted = Some(now);
    }

    /// The peer has left in order. It is not dead before `until`, when a successor is given up.
    pub fn suspend(&mut self, until: Instant) {
        self.suspended = Some(until);
        self.dead = false;
    }

    /// The loop has woken up `lateness` after it wanted to. In that time nobody listened, and silence
    /// does not count. Called in every turn, before or after what was heard in it.
    pub fn looked(&mut self, now: Instant, lateness: Duration) {
        let silence = self.heard.map(|heard| now.saturating_duration_since(heard));
        // No more than there was.
        self.slept = silence.map_or(Duration::ZERO, |silence| {
            silence.min(self.slept.saturating_add(lateness))
        });
        // Nor was the peer's system asked again when it should have been.
        self.answered = self.answered.map(|answered| now.min(answered + lateness));
    }

    /// When [`Watch::is_dead`] is to be asked next, if nothing is heard until then.
    pub fn deadline(&self) -> Option<Instant> {
        self.silence_ends().filter(|_| !self.dead)
    }

    /// Whether the peer is dead, as far as one can tell. Asked after everything was read that has
    /// arrived. Once dead, it stays so until something is heard of it.
    pub fn is_dead(&mut self, now: Instant) -> bool {
        self.dead |= self.silence_ends().is_some_and(|ends| now >= ends);
        self.dead
    }

    fn silence_ends(&self) -> Option<Instant> {
        let allowed = match self.doubted {
            Some(_) => self.limit().min(self.heartbeat + GRACE),
            None => self.limit(),
        };
        let heard = self.heard.map(|heard| heard + self.slept);
        let mut ends = heard.map(|heard| heard + allowed);
        if let (Some(heard), Some(answered), None) = (heard, self.answered, self.doubted) {
            let late = answered + self.heartbeat + GRACE;
            ends = ends.max(Some(late.min(heard + self.limit() * LATE)));
        }
        ends.or(self.doubted).max(self.suspended)
    }

    /// When [`Watch::asks`] is to be called next, if nothing is heard until then.
    pub fn asks_at(&self) -> Option<Instant> {
        if self.dead {
            return None;
        }
        let first = self.heard? + self.heartbeat * (self.misses - 1) + GRACE + self.slept;
        Some(match self.asked {
            Some(asked) => asked + self.heartbeat,
            None => first,
        })
    }

    fn limit(&self) -> Duration {
        self.heartbeat.saturating_mul(self.misses) + GRACE
    }
}
