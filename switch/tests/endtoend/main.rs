//! The program between real clients and real servers: curl and h2load in front, nginx and the
//! embedded server behind, and raw sockets wherever a well-behaved program is not enough.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

#[path = "../common/mod.rs"]
mod support;

mod answers;
mod bodies;
mod certificates;
mod checks;
mod client;
mod crowd;
mod discovery;
mod ejecting;
mod failing;
mod forwarding;
mod frames;
mod hedging;
mod hostile;
mod http2;
mod limits;
mod mistakes;
mod overload;
mod paced;
mod pressure;
mod programs;
mod protocols;
mod rates;
mod refused;
mod reloads;
mod retrying;
mod routing;
mod scripted;
mod selection;
mod slow_start;
mod slowness;
mod split;
mod sticky;
mod streams;
mod telling;
mod tracing;
