//! The other switches of the group: sessions, heartbeats, who is alive.
//!
//! Everything here is non-blocking and bounded; one poll loop drives it. [`door`] and [`session`]
//! do the input and output of sessions, `talk` is what they say, [`secure`] keeps it secret.
//! [`heartbeat`] tells that a switch is alive, [`watch`] judges when one is not.

pub mod backoff;
pub mod door;
pub mod echo;
pub mod ended;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod heartbeat;
pub mod message;
pub mod secure;
pub mod session;
mod talk;
#[cfg(test)]
mod tests;
pub mod watch;

use std::net::IpAddr;

/// Whether the switch at `own` opens the session to the one at `peer`: the lower address does, the
/// other one waits at its [`door`].
pub fn initiates(own: IpAddr, peer: IpAddr) -> bool {
    own.to_canonical() < peer.to_canonical()
}
