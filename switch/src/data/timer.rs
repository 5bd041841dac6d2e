//! Deadlines that cost next to nothing to move: each connection has one alarm, and a sweep of the
//! worker looks at all of them every [`TICK`]. Moving a deadline is a store to memory.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How late an alarm may be.
pub const TICK: Duration = Duration::from_millis(20);

const NEVER: u64 = u64::MAX;

/// All alarms of one worker.
#[derive(Debug)]
pub struct Timer {
    epoch: Instant,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
    armed: Cell<usize>,
    wanted: Notify,
}

#[derive(Debug)]
struct Slot {
    /// Milliseconds since the epoch.
    deadline: u64,
    fired: bool,
    /// Its connection waits for a request and has nothing to lose.
    idle: bool,
    waker: Option<Waker>,
}

impl Slot {
    const UNSET: Slot = Slot {
        deadline: NEVER,
        fired: false,
        idle: false,
        waker: None,
    };
}

impl Timer {
    /// A timer without alarms. It goes only while [`Timer::run`] is polled.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            epoch: Instant::now(),
            slots: RefCell::default(),
            free: RefCell::default(),
            armed: Cell::new(0),
            wanted: Notify::new(),
        })
    }

    /// A new alarm that is not set.
    pub fn alarm(self: &Rc<Self>) -> Alarm {
        let slot = Slot::UNSET;
        let mut slots = self.slots.borrow_mut();
        let key = match self.free.borrow_mut().pop() {
            Some(key) => {
                slots[key] = slot;
                key
            }
            None => {
                slots.push(slot);
                slots.len() - 1
            }
        };
        if self.armed.replace(self.armed.get() + 1) == 0 {
            self.wanted.notify_one();
        }
        Alarm {
            timer: self.clone(),
            key,
        }
    }

    /// Lets the alarms of idle connections go off after `limit` at the latest.
    pub fn hasten_idle(&self, now: Instant, limit: Duration) {
        let latest = self.millis(now + limit);
        let mut slots = self.slots.borrow_mut();
        for slot in slots
            .iter_mut()
            .filter(|slot| slot.idle && slot.deadline < NEVER)
        {
            slot.deadline = slot.deadline.min(latest);
        }
    }

    /// Lets the alarm of the idle connection go off that would go off first; `false` when none is
    /// idle.
    pub fn shed_idle(&self) -> bool {
        let mut slots = self.slots.borrow_mut();
        let idle = slots
            .iter_mut()
            .filter(|slot| slot.idle && slot.deadline < NEVER);
        let Some(slot) = idle.min_by_key(|slot| slot.deadline) else {
            return false;
        };
        slot.deadline = 0;
        drop(slots);
        self.sweep(0);
        true
    }

    /// Sweeps for as long as it is polled; sleeps without waking while there is no alarm.
    pub async fn run(&self) {
        loop {
            if self.armed.get() == 0 {
                self.wanted.notified().await;
            }
            tokio::time::sleep(TICK).await;
            self.sweep(self.millis(Instant::now()));
        }
    }

    fn sweep(&self, now: u64) {
        let mut late = Vec::new();
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot.deadline <= now {
                slot.deadline = NEVER;
                slot.fired = true;
                late.extend(slot.waker.take());
            }
        }
        late.into_iter().for_each(Waker::wake);
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(NEVER - 1)
    }
}

/// One deadline that moves.
#[derive(Debug)]
pub struct Alarm {
    timer: Rc<Timer>,
    key: usize,
}

/// The deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl Alarm {
    /// Sets the alarm to go off `after` from `now`, in place of what it was set to.
    pub fn set(&self, now: Instant, after: Duration) {
        let at = now
            .checked_add(after)
            .map_or(NEVER - 1, |at| self.timer.millis(at));
        let slot = &mut self.timer.slots.borrow_mut()[self.key];
        slot.deadline = at;
        slot.fired = false;
        slot.idle = false;
    }

    /// As [`Alarm::set`], for a connection that waits for a request.
    pub fn set_idle(&self, now: Instant, after: Duration) {
        self.set(now, after);
        self.timer.slots.borrow_mut()[self.key].idle = true;
    }

    /// Takes the alarm back.
    pub fn clear(&self) {
        let slot = &mut self.timer.slots.borrow_mut()[self.key];
        slot.deadline = NEVER;
        slot.fired = false;
    }

    /// Ready once the alarm has gone off.
    pub fn poll_fired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let slot = &mut self.timer.slots.borrow_mut()[self.key];
        if slot.fired {
            return Poll::Ready(());
        }
        if !slot
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The future's output, unless `limit` passes first.
    ///
    /// # Errors
    /// [`Elapsed`] when it does.
    pub async fn within<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        self.set(Instant::now(), limit);
        let mut future = pin!(future);
        let output = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_fired(cx).map(|()| Err(Elapsed)),
        })
        .await;
        self.clear();
        output
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let slot = &mut self.timer.slots.borrow_mut()[self.key];
        *slot = Slot::UNSET;
        self.timer.free.borrow_mut().push(self.key);
        self.timer.armed.set(self.timer.armed.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_alarm_goes_off_after_its_time_and_not_before() {
        let timer = Timer::new();
        let alarm = timer.alarm();
        let began = Instant::now();
        let slept = alarm.within(Duration::from_millis(60), std::future::pending::<()>());
        tokio::select! {
            () = timer.run() => unreachable!("it runs on"),
            outcome = slept => assert_eq!(outcome, Err(Elapsed)),
        }
        assert!(began.elapsed() >= Duration::from_millis(59));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_moved_deadline_replaces_the_earlier_one() {
        let timer = Timer::new();
        let alarm = timer.alarm();
        alarm.set(Instant::now(), Duration::from_millis(1));
        alarm.set(Instant::now(), Duration::from_secs(3600));
        timer.sweep(timer.millis(Instant::now()) + 1000);
        let waiting = poll_fn(|cx| Poll::Ready(alarm.poll_fired(cx).is_pending())).await;
        assert!(waiting);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn idle_alarms_can_be_hastened_and_others_keep_their_time() {
        let timer = Timer::new();
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let (idle, busy, soon) = (timer.alarm(), timer.alarm(), timer.alarm());
        idle.set_idle(now, hour);
        busy.set(now, hour);
        soon.set_idle(now, Duration::from_millis(10));
        let fired = |alarm: &Alarm| {
            let mut cx = Context::from_waker(Waker::noop());
            alarm.poll_fired(&mut cx).is_ready()
        };
        timer.hasten_idle(now, Duration::from_secs(1));
        timer.sweep(timer.millis(now) + 500);
        assert_eq!((fired(&idle), fired(&soon)), (false, true));
        timer.sweep(timer.millis(now) + 1000);
        assert_eq!((fired(&idle), fired(&busy)), (true, false));
    }

    #[test]
    fn a_dropped_alarm_gives_its_place_to_the_next() {
        let timer = Timer::new();
        drop(timer.alarm());
        let _first = timer.alarm();
        assert_eq!(timer.slots.borrow().len(), 1);
    }
}
