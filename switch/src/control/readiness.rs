//! Whether the process takes traffic: what `GET /ready` answers.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Backends that do not answer their first checks hold readiness up no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the process takes traffic.
#[derive(Debug)]
pub struct Readiness {
    started: Instant,
    checked: AtomicBool,
    draining: AtomicBool,
    pools_up: AtomicU32,
}

impl Readiness {
    /// Of a process that has just begun to listen.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            checked: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            pools_up: AtomicU32::new(0),
        }
    }

    /// Every endpoint has been checked once.
    pub fn set_checked(&self) {
        self.checked.store(true, Ordering::Relaxed);
    }

    /// The process is about to end.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// So many pools have a backend that is up.
    pub fn set_pools_up(&self, pools: u32) {
        self.pools_up.store(pools, Ordering::Relaxed);
    }

    /// Pools of which a backend is up.
    pub fn pools_up(&self) -> u32 {
        self.pools_up.load(Ordering::Relaxed)
    }

    /// Since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether new connections are welcome.
    ///
    /// # Errors
    /// Why they are not.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        if self.checked.load(Ordering::Relaxed) || self.uptime() >= PATIENCE {
            return Ok(());
        }
        Err("the first health checks are under way")
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_after_the_first_checks_and_until_it_drains() {
        let readiness = Readiness::new();
        assert!(readiness.check().is_err());
        readiness.set_checked();
        assert_eq!(readiness.check(), Ok(()));
        readiness.set_draining();
        assert_eq!(readiness.check(), Err("draining"));
    }
}
