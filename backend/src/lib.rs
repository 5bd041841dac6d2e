//! The pool member's side of Pointsman: the embedded web server of tests and demos.
//!
//! [`server::Server`] runs in the same process (`pointsman demo` starts three of them); the binary
//! `pointsman-backend` runs one by itself.

pub mod decap;
pub mod protocol;
pub mod server;
