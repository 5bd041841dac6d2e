//! The real program holds contact addresses in a network of namespaces: who is elected, what clients
//! notice, what keepalived makes of it. What it takes in time is measured elsewhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod cuts;
mod elections;
mod families;
mod keepalived;
mod planned;
mod stage;
mod told;
mod virtual_mac;
