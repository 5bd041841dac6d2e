//! The dashboard: what the admin interface tells it, and the page in a headless Chromium.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

#[path = "../common/mod.rs"]
mod support;

mod board;
mod browser;
mod data;
mod guarded;
mod many;
mod page;
