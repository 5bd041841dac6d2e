//! The policy language of Pointsman: from the operator's TOML to a checked [`policy::Policy`], or to
//! a [`report::Report`] of everything that is wrong with it.
//!
//! The way of a file, one folder per step: `source` reads it and its includes into one tree of
//! values that know their places, `keys` is the one table of what may be written, `decode` reads the
//! tree by that table into the types of [`policy`], `check` looks at what belongs together. Every
//! step collects its findings and goes on; nothing stops at the first.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod backends;
mod check;
mod decode;
mod diagnostics;
mod digest;
pub mod format;
pub mod keys;
mod load;
pub mod outline;
pub mod policy;
pub mod reference;
pub mod report;
pub mod schema;
mod source;
pub mod specificity;
mod suggest;
pub mod value;
