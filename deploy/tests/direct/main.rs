//! Direct return in a network of namespaces: the real program before real servers, what clients notice
//! of drains, deaths and takeovers. What it costs is measured elsewhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod checks;
mod clear;
mod clients;
mod datagrams;
mod datapaths;
mod hostile;
mod leaving;
mod lives;
mod mirror;
mod rights;
mod roads;
mod stage;
mod takeover;
mod told;
mod udp;
mod vlans;
