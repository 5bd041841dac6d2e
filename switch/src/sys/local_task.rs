//! Tasks that stay on their thread. A worker's runtime has one thread for its whole life, so its
//! tasks may hold what is not `Send`; tokio's own way for that, `LocalSet`, costs an extra wake-up
//! through the kernel per turn of the event loop.
#![allow(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Spawns a task on the runtime of this thread.
///
/// # Panics
/// When this thread's runtime is not a `current_thread` one: there a task could move.
pub fn spawn<F: Future<Output = ()> + 'static>(future: F) {
    let handle = tokio::runtime::Handle::current();
    assert!(
        handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::CurrentThread,
        "tasks that are not Send need a runtime of one thread"
    );
    handle.spawn(Pinned(future));
}

/// A future that claims to be `Send`.
struct Pinned<F>(F);

// SAFETY: `spawn` hands the future only to a `current_thread` runtime. Such a runtime polls and
// drops its tasks in the thread that drives it, and the workers (`data::worker`) build, drive and
// drop theirs in one thread without ever handing it out. Wakers and the task's header, the only
// parts that other threads touch, are thread-safe by themselves.
unsafe impl<F> Send for Pinned<F> {}

impl<F: Future> Future for Pinned<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the field is never moved out of, and `Pinned` has no `Drop` and is `Unpin` only
        // when the field is.
        let future = unsafe { self.map_unchecked_mut(|pinned| &mut pinned.0) };
        future.poll(cx)
    }
}
