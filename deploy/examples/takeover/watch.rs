//! The clients of one try.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use pointsman_deploy::lab::{Host, KeepAlive, LIMIT, Prober, Record, wait_until};

use crate::table::Sample;

/// Clients that keep their connections.
const KEPT: usize = 2;
const PAUSE: Duration = Duration::from_millis(20);
/// All is well when no attempt of so long has failed.
const CALM: Duration = Duration::from_millis(400);
/// What does not get well is not waited for any longer.
const MOST: Duration = Duration::from_secs(8);

/// Clients that ask while something happens.
pub struct Watch {
    prober: Prober,
    kept: KeepAlive,
    /// When the event begins, and how many kept connections had broken before.
    begin: Instant,
    broken: usize,
}

impl Watch {
    /// Starts them, and waits until all is well and this one answers.
    pub fn start(client: &Host, target: SocketAddr, name: &str) -> Self {
        let prober = Prober::start(client, target);
        wait_until("the first answer", || {
            prober.record().failed() < prober.record().attempts.len()
        });
        let kept = KeepAlive::start(client, target, KEPT, PAUSE);
        let begin = Instant::now();
        wait_until("all is well", || {
            let record = prober.record();
            let answering = record.answered_by().pop();
            begin.elapsed() > CALM
                && is_calm(&record)
                && (name.is_empty() || answering.is_some_and(|(_, last)| last == name))
        });
        Self {
            prober,
            kept,
            begin: Instant::now(),
            broken: 0,
        }
    }

    /// The event begins now.
    pub fn begin(&mut self) {
        self.broken = self.kept.kept().broken;
        self.begin = Instant::now();
    }

    /// Waits for that time at least, and until all is well again: what clients noticed.
    pub fn end(self, least: Duration) -> Sample {
        let begin = self.begin;
        thread::sleep(least.saturating_sub(begin.elapsed()));
        while begin.elapsed() < MOST && !is_calm(&self.prober.record()) {
            thread::sleep(Duration::from_millis(20));
        }
        // Also those that were on their way.
        let record = self.prober.stop().since(begin - LIMIT);
        Sample {
            blackout: record.blackout(),
            failing: record.failing(),
            failed: record.failed(),
            broken: self.kept.stop().broken - self.broken,
        }
    }
}

fn is_calm(record: &Record) -> bool {
    let Some(last) = record.attempts.last() else {
        return false;
    };
    let recent = record.since(last.started - CALM);
    recent.failed() == 0 && recent.attempts.len() > 50
}

/// A random time.
pub fn random_below(limit: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    Duration::from_nanos(random % u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).max(1))
}
