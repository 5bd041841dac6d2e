//! Raw system calls behind safe functions: the only place for unsafe code.

pub mod activation;
pub mod local_task;
mod socket_file;

pub use socket_file::SocketFile;
