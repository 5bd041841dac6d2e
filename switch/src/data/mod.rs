//! data

pub mod l4;
pub mod listener;
pub mod tls;
