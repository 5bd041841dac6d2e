//! Content-aware routing: which route takes a request. The most specific one wins
//! (`pointsman_config::specificity`), whatever the order of the file.

mod asked;
mod conditions;
pub mod cookie;
mod path;
pub mod query;
mod router;
mod split;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use self::asked::{Asked, affinity};
pub use self::conditions::{Condition, conditions};
pub use self::path::{has_prefix, matched_prefix, normalize, prefixes};
pub use self::router::{Router, Witness};
pub use self::split::Split;

/// What routing looks at. Implemented by the data plane's request heads.
pub trait RequestView {
    /// The method, as received.
    fn method(&self) -> &str;
    /// The host in lower case, without port; empty when there is none.
    fn host(&self) -> &str;
    /// The path made fit for matching: no query, dot segments resolved, unreserved
    /// percent-encodings decoded.
    fn path(&self) -> &str;
    /// The query without `?`.
    fn query(&self) -> Option<&str>;
    /// The values of a header field (lower-case name), in order.
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
    /// The client's address.
    fn client(&self) -> IpAddr;
    /// The name of the listener.
    fn listener(&self) -> &str;
}
