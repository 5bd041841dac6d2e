//! What the reconcilers of a group's switches tell each other, so that a takeover finds it known:
//! backends that are out by ejection, and what operators have laid over the policy. The contact
//! thread carries it. Neither side waits for the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::control::overlay::OverlayEntry;
use crate::control::standing::KnownEjection;

/// What was heard and is not taken up yet; beyond that the oldest goes.
const WAITING: usize = 64;

/// Where the reconciler and the contact thread meet.
#[derive(Debug, Default)]
pub struct Exchange {
    told: Mutex<Told>,
    version: AtomicU64,
    heard: Mutex<Vec<Heard>>,
    news: Notify,
}

/// What this switch tells.
#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    ejections: Vec<KnownEjection>,
    overlay: Vec<OverlayEntry>,
}

/// What another switch has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Backends that it has ejected.
    Ejections(Vec<KnownEjection>),
    /// What its operator has laid over the policy, and taken back.
    Overlay(Vec<OverlayEntry>),
}

impl Exchange {
    /// What the others are to know from now on. They are told when who is out, or an order, has
    /// changed: that time goes by is no news.
    pub fn tell(&self, ejections: Vec<KnownEjection>, overlay: Vec<OverlayEntry>) {
        let mut told = lock(&self.told);
        let same = told.overlay == overlay
            && told.ejections.len() == ejections.len()
            && told.ejections.iter().zip(&ejections).all(is_the_same);
        *told = Told {
            at: Some(Instant::now()),
            ejections,
            overlay,
        };
        if !same {
            self.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Changes whenever there is news to tell.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// What there is to tell now.
    pub fn told(&self, now: Instant) -> (Vec<KnownEjection>, Vec<OverlayEntry>) {
        let told = lock(&self.told);
        let mut ejections = told.ejections.clone();
        let passed = told.at.map(|at| now.saturating_duration_since(at));
        let passed = passed.unwrap_or_default();
        for ejection in &mut ejections {
            ejection.behaved += passed.saturating_sub(ejection.left);
            ejection.left = ejection.left.saturating_sub(passed);
        }
        (ejections, told.overlay.clone())
    }

    /// Another switch has told this.
    pub fn hear(&self, heard: Heard) {
        let mut waiting = lock(&self.heard);
        if waiting.len() == WAITING {
            waiting.remove(0);
        }
        waiting.push(heard);
        self.news.notify_one();
    }

    /// Waits for what others tell. Safe to be cancelled.
    pub async fn heard(&self) -> Vec<Heard> {
        loop {
            let heard = std::mem::take(&mut *lock(&self.heard));
            if !heard.is_empty() {
                return heard;
            }
            self.news.notified().await;
        }
    }
}

/// Whether the same backend is out for the same reason, as often in a row.
fn is_the_same((one, other): (&KnownEjection, &KnownEjection)) -> bool {
    one.pool == other.pool
        && one.backend == other.backend
        && one.address == other.address
        && one.times == other.times
        && one.left.is_zero() == other.left.is_zero()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ejection(backend: &str, left: u64) -> KnownEjection {
        KnownEjection {
            pool: "app".to_owned(),
            backend: backend.to_owned(),
            address: "10.0.0.1:80".to_owned(),
            left: Duration::from_secs(left),
            times: 1,
            cause: "status".to_owned(),
            behaved: Duration::ZERO,
        }
    }

    #[test]
    fn time_that_goes_by_is_no_news_and_is_taken_off() {
        let exchange = Exchange::default();
        exchange.tell(vec![ejection("one", 30)], vec![]);
        let version = exchange.version();
        exchange.tell(vec![ejection("one", 29)], vec![]);
        assert_eq!(exchange.version(), version);
        let later = Instant::now() + Duration::from_secs(10);
        let left = exchange.told(later).0[0].left;
        assert!((18..=19).contains(&left.as_secs()), "{left:?}");
        let after = exchange.told(Instant::now() + Duration::from_secs(60));
        assert!(after.0[0].left.is_zero() && after.0[0].behaved > Duration::from_secs(30));
    }

    #[test]
    fn another_backend_or_order_is_news() {
        let exchange = Exchange::default();
        exchange.tell(vec![ejection("one", 30)], vec![]);
        let first = exchange.version();
        exchange.tell(vec![ejection("two", 30)], vec![]);
        let second = exchange.version();
        exchange.tell(vec![ejection("two", 30)], vec![OverlayEntry::default()]);
        assert!(first < second && second < exchange.version());
    }

    #[tokio::test]
    async fn what_is_heard_is_taken_up_once_and_bounded() {
        let exchange = Exchange::default();
        for number in 0..100 {
            exchange.hear(Heard::Ejections(vec![ejection(&number.to_string(), 1)]));
        }
        let heard = exchange.heard().await;
        assert_eq!(heard.len(), WAITING);
        assert_eq!(
            heard.last(),
            Some(&Heard::Ejections(vec![ejection("99", 1)]))
        );
        let more = tokio::time::timeout(Duration::from_millis(20), exchange.heard());
        assert!(more.await.is_err(), "nothing else was heard");
    }
}
