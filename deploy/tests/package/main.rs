//! The Debian package in a clean Debian with a systemd of its own: installed, reloaded, upgraded, removed.
//!
//! It needs root, cargo-deb, and a root file system: the folder POINTSMAN_TEST_ROOT, or what debootstrap
//! makes of POINTSMAN_TEST_SUITE (otherwise bookworm) once for each target folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod content;
mod life;
mod machine;
mod made;
