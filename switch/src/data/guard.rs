//! A fault of this program in one connection must not cost the others theirs.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is serving one connection just now, so that a panic ends that one alone.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Runs the future; a panic in it ends it and nothing else.
pub async fn guard(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        GUARDED.set(true);
        // What a connection shares with others is behind `RefCell`s, which unwinding releases, and
        // counters.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        GUARDED.set(false);
        polled.unwrap_or(Poll::Ready(()))
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_panic_ends_only_what_is_guarded() {
        guard(async {
            tokio::task::yield_now().await;
            assert!(is_guarded());
            panic!("on purpose");
        })
        .await;
        assert!(!is_guarded());
    }
}
