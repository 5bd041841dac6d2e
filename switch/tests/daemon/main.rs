//! The program as its users see it: every test starts the real binary.

mod cli;
mod contact;
mod demo;
mod drain;
mod health;
mod reload;
#[path = "../common/mod.rs"]
mod support;
mod tls;
