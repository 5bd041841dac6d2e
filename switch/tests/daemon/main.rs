//! The program as its users see it: every test starts the real binary.

mod admin;
mod backend;
mod cli;
mod contact;
mod demo;
mod drain;
mod events;
mod foresight;
mod format;
mod health;
mod reload;
#[path = "../common/mod.rs"]
mod support;
mod tls;
#[cfg(feature = "top")]
mod top;
mod watched;
