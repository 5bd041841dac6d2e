//! Threads that must not wait: their scheduling class (sched(7)).
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroU64;

/// Above everything of the default class, below the kernel's own threads for interrupts (50): those
/// bring the packets that such a thread waits for.
const PRIORITY: libc::c_int = 49;
/// The highest first.
const NICE: [i32; 5] = [-20, -15, -10, -5, -1];
/// By how much a timer may be late to come together with others, in nanoseconds.
const SLACK: Option<NonZeroU64> = NonZeroU64::new(1);

/// What a thread has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It runs as soon as it can (SCHED_FIFO).
    Realtime,
    /// It gets a larger share of the processor.
    Nice,
    /// It stands in line like all others.
    None,
}

impl Raised {
    /// For status and log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Nice => "nice",
            Self::None => "none",
        }
    }
}

/// Raises the calling thread as far as this process may: real time needs `CAP_SYS_NICE` or
/// RLIMIT_RTPRIO, a nice value that or RLIMIT_NICE. Threads and processes that it starts are not
/// raised along with it. Its timers become exact in any case.
pub fn raise() -> Raised {
    let _ = rustix::thread::set_current_timer_slack(SLACK);
    // Any priority of real time is above the default class: the lowest one is better than none.
    if [PRIORITY, 1].into_iter().any(|at| set_fifo(at).is_ok()) {
        return Raised::Realtime;
    }
    let set_nice = |value| rustix::process::setpriority_process(None, value).is_ok();
    if NICE.into_iter().any(set_nice) {
        Raised::Nice
    } else {
        Raised::None
    }
}

fn set_fifo(priority: libc::c_int) -> io::Result<()> {
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // The first field of C's `sched_param`, and all that the kernel reads.
    let parameter = priority;
    // SAFETY: the kernel reads one int from the pointer and keeps nothing; 0 means the calling
    // thread. The bare system call, since musl's function of that name only says ENOSYS.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            policy,
            &raw const parameter,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field 18 and 41 of proc_pid_stat(5): priority and policy.
    fn scheduling() -> (i32, i32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("/proc is there");
        let after_name = stat.rsplit(')').next().expect("a name");
        let field = |number: usize| {
            let text = after_name.split_whitespace().nth(number - 3);
            text.and_then(|text| text.parse().ok()).expect("a number")
        };
        (field(18), field(41))
    }

    #[test]
    fn a_raised_thread_is_what_it_says_and_the_threads_that_it_starts_are_not() {
        let raised = std::thread::spawn(|| {
            let raised = raise();
            let child = std::thread::spawn(scheduling).join().expect("no panic");
            (raised, scheduling(), child)
        });
        let (raised, (priority, policy), child) = raised.join().expect("no panic");
        match raised {
            Raised::Realtime => {
                assert_eq!(policy, libc::SCHED_FIFO);
                assert_eq!(child, (20, libc::SCHED_OTHER));
            }
            Raised::Nice => assert!(policy == libc::SCHED_OTHER && priority < 20),
            Raised::None => assert_eq!((priority, policy), (20, libc::SCHED_OTHER)),
        }
        assert_eq!(
            scheduling().1,
            libc::SCHED_OTHER,
            "this thread is as before"
        );
    }
}
