//! Forwarding below HTTP: bytes between a client's connection and a backend's.

mod flow;
pub mod leg;
pub mod pipe;
pub mod proxy;
mod serve;

#[cfg(test)]
mod tests;

pub use self::serve::serve;
