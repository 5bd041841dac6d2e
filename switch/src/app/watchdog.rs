//! The service manager's watchdog hears that the switch lives, for as long as it does
//! (`WatchdogSec=`, sd_watchdog_enabled(3)).

use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::daemon::Daemon;
use crate::pulse::Pulses;

/// How often it hears within the time that it waits. Some may be late on a busy machine.
const TIMES: u32 = 4;

/// The least time between two words, whatever the service manager says.
const LEAST: Duration = Duration::from_millis(10);

/// Tells it from now on. Nothing happens where no watchdog waits.
pub(super) fn begin(daemon: &Daemon) {
    if let Some(limit) = sd_notify::watchdog_enabled() {
        let told = tell(daemon.pulses(), limit);
        daemon.control().runtime().spawn(told);
    }
}

/// Runs on the control thread, so that nothing is told when that one hangs.
async fn tell(pulses: Arc<Pulses>, limit: Duration) {
    let mut lived = true;
    loop {
        let lives = lives(&pulses, limit, Instant::now());
        if lives {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        } else if lived {
            tracing::error!(
                "a worker stands still: the service manager's watchdog is told no more"
            );
        }
        lived = lives;
        tokio::time::sleep((limit / TIMES).max(LEAST)).await;
    }
}

/// Whether all workers turn. One that does again within the other half of the limit is forgiven.
fn lives(pulses: &Pulses, limit: Duration, now: Instant) -> bool {
    pulses.oldest(now) <= limit / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_lives_while_every_worker_turns() {
        let (limit, began) = (Duration::from_secs(4), Instant::now());
        let pulses = Pulses::new(2, began);
        let later = began + Duration::from_secs(3);
        assert!(lives(&pulses, limit, began));
        assert!(!lives(&pulses, limit, later));
        pulses.pulse(0).mark(later);
        assert!(!lives(&pulses, limit, later), "the other one stands");
        pulses.pulse(1).mark(later);
        assert!(lives(&pulses, limit, later));
    }

    #[test]
    fn a_worker_that_ended_in_order_is_not_missed() {
        let began = Instant::now();
        let pulses = Pulses::new(1, began);
        pulses.pulse(0).retire();
        assert!(lives(
            &pulses,
            Duration::from_secs(1),
            began + Duration::from_secs(60)
        ));
    }
}
