//! Raw system calls behind safe functions: the only place for unsafe code.

pub mod activation;
pub mod bpf;
pub mod lifeline;
pub mod local_task;
pub mod machine_id;
pub mod packet;
pub mod process;
pub mod realtime;
mod socket_file;
pub mod tun;

pub use socket_file::SocketFile;
