//! Clients that speak HTTP/2 (RFC 9113): this switch's own engine.
//!
//! [`serve`] is the one task of a connection. It feeds the bytes that come to [`connection`], the
//! protocol's machine, which makes of them requests ([`hpack`], [`request`]), content within its
//! windows ([`flow`]) and answers to control frames, all within what a client may ask for
//! ([`limits`]). Each request is an exchange like one of HTTP/1.1; [`client`] is its way back to the
//! machine, and [`exchanges`] holds those that are under way. What they make lies in one [`output`]
//! that is written once per turn.

mod client;
mod connection;
mod exchanges;
mod flow;
mod frame;
mod hpack;
mod limits;
mod output;
mod request;
mod serve;
mod stream;
#[cfg(test)]
mod tests;
mod waits;

#[cfg(any(test, feature = "fuzzing"))]
pub(super) use self::connection::{Arrival, Body, Connection, Limits, Sent};
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use self::request::Draft;
pub use self::serve::serve;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use self::stream::Key;
