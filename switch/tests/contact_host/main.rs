//! This host's interfaces and addresses, in network namespaces of their own, and what becomes of
//! contact addresses when the switch dies. For root alone; others are told that it was skipped.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod changes;
mod death;
mod lab;
mod virtual_mac;
