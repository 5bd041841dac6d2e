//! Ends and upgrades under load: the real binary between real clients, none of whom may notice.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

#[path = "../endtoend/client.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod client;
mod crash;
mod drain;
mod load;
#[path = "../endtoend/programs.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod programs;
mod service;
mod sticky;
#[path = "../common/mod.rs"]
mod support;
mod upgrade;

/// How often the tests under load upgrade and restart: ten times, or as often as the environment
/// asks for.
fn rounds() -> usize {
    let asked = std::env::var("POINTSMAN_TEST_HANDOVERS").ok();
    asked.map_or(10, |text| {
        text.parse().expect("POINTSMAN_TEST_HANDOVERS is a number")
    })
}
