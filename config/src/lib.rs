//! The policy language of Pointsman: from the operator's TOML to a checked [`policy::Policy`], or to
//! a [`report::Report`] of everything that is wrong with it.

pub mod policy;
pub mod report;
