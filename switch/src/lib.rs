//! Pointsman: one access point in front of a pool of servers.
//!
//! The modules stand in rows; each uses only rows above it (ARCHITECTURE.md, "The house"):
//! `error pulse sys` < `endpoint shared` < `trace` < `event metrics` < `access_log` < `balance` < `pool` < `route` <
//! `snapshot` < `data`, `control` < `app args demo`.

pub mod error;
pub mod pulse;
pub mod sys;

pub mod endpoint;
pub mod shared;

pub mod trace;

pub mod access_log;
pub mod event;
pub mod metrics;

pub mod balance;

pub mod pool;

pub mod route;

pub mod snapshot;

pub mod control;
pub mod data;

pub mod app;
pub mod args;
pub mod demo;
