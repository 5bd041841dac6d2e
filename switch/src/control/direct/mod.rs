//! Direct return: services whose packets the kernel passes on, so that backends answer clients
//! themselves.

pub mod kernel;

use std::sync::Arc;

use super::source::{Loaded, Refused};
use crate::control::journal::Happening;

/// Lets a policy be carried out where direct return may be impossible: pools that may be proxied
/// then are. Gives back what is to be told about it.
///
/// # Errors
/// A pool is neither possible nor may be proxied: why, and what to do about it.
pub fn settle(
    loaded: &mut Loaded,
    possible: impl FnOnce() -> Result<(), String>,
) -> Result<Vec<Happening>, Refused> {
    if !loaded.policy.is_direct() {
        return Ok(Vec::new());
    }
    let Err(why) = possible() else {
        return Ok(Vec::new());
    };
    let policy = loaded.policy.as_ref().clone();
    let (policy, pools) = policy.proxied().map_err(|pools| {
        let pools = pools.join("`, `");
        Refused::Direct(format!(
            "direct return is not possible: {why} (pool `{pools}`; with fallback = \"proxy\" in a \
             pool its connections are proxied instead)"
        ))
    })?;
    loaded.policy = Arc::new(policy);
    let told = pools.into_iter().map(|pool| {
        let text = format!("pool {pool} is proxied, direct return is not possible: {why}");
        Happening::warning("direct-fallback", text).about("pool", pool)
    });
    Ok(told.collect())
}

/// Whether this build can.
///
/// # Errors
/// Why not.
pub fn possible() -> Result<(), String> {
    Err("this version does not carry it out yet".to_owned())
}
