//! Threads that must not wait: their scheduling class (sched(7)).
