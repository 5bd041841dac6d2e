//! Header compression for HTTP/2 (RFC 7541). Pure: bytes in, field lines out, and back.

mod decode;
mod encode;
mod huffman;
mod table;
#[cfg(test)]
mod tests;

pub use self::decode::Decoder;
pub use self::encode::{field, no_dynamic_table, status};

/// A header block that cannot be decoded: the connection's compression state is lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Bytes that each entry of a list or table counts beside its name and value (RFC 7541 4.1,
/// RFC 9113 6.5.2).
pub const OVERHEAD: usize = 32;

/// The size that a dynamic table has unless told otherwise (RFC 9113 6.5.2).
pub const TABLE_SIZE: usize = 4096;
