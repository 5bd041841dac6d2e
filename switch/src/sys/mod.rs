//! Raw system calls behind safe functions: the only place for unsafe code.

pub mod local_task;
