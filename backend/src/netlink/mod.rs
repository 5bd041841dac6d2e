//! Requests to the kernel (netlink(7)) and what it answers: the part that agent and switch share.

pub mod attributes;
pub mod socket;

pub use socket::{Message, Socket};
