//! The contact address: the one address that clients keep, whichever switch answers at it.

pub mod announce;
pub mod desk;
pub mod election;
pub mod group;
pub mod host;
pub mod peer;
pub mod relay;
pub mod status;
pub mod vrrp;
