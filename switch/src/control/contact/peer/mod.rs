//! The other switches of the group: sessions, heartbeats, who is alive.

pub mod message;
