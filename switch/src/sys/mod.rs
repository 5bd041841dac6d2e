//! The only place where unsafe code may stand. There is none so far: rustix and socket2 offer every
//! system call that the switch makes behind safe functions.
