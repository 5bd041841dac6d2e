//! The pool member's side of Pointsman: the agent that registers a server with switches, what it says
//! to them, and the embedded web server of tests and demos.
//!
//! [`server::Server`] runs in the same process (`pointsman demo` starts three of them); the binary
//! `pointsman-backend` runs one by itself, or the [`agent`] beside another server.

pub mod agent;
pub mod decap;
pub mod netlink;
pub mod protocol;
pub mod server;
