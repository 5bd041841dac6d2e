//! What the fuzzers in `fuzz/` and the tests over their corpora drive: each function takes bytes
//! of a stranger through the code that meets them first, and panics when what comes out is not
//! plain. Not part of the interface; compiled for tests and with the feature `fuzzing` alone.

mod audit;
mod chunked;
mod h2;
mod request;
mod response;
mod scene;
#[cfg(test)]
mod tests;

pub use chunked::chunked;
pub use h2::{h2_connection, h2_downgrade};
pub use request::request_head;
pub use response::response_head;

use crate::data::proxy_protocol::{self, Decoded};

/// A PROXY protocol header: every beginning of it gets the same answer or asks for more, and what
/// was read can be written and read again.
pub fn proxy_protocol(bytes: &[u8]) {
    let whole = proxy_protocol::decode(bytes);
    for end in 0..bytes.len().min(600) {
        let part = proxy_protocol::decode(&bytes[..end]);
        assert!(
            part == Decoded::NeedMore || part == whole,
            "{end}: {part:?}"
        );
    }
    let Decoded::Parsed(header) = whole else {
        let endless = whole == Decoded::NeedMore && bytes.len() >= proxy_protocol::MAX_LEN;
        assert!(!endless, "more is wanted after {} bytes", bytes.len());
        return;
    };
    assert!(header.len <= bytes.len());
    let Some(addresses) = header.addresses else {
        return;
    };
    for encoded in [
        proxy_protocol::encode_v1(Some(&addresses)),
        proxy_protocol::encode_v2(Some(&addresses)),
    ] {
        match proxy_protocol::decode(&encoded) {
            Decoded::Parsed(again) => assert_eq!(again.addresses, header.addresses),
            other => panic!("{other:?} of what was encoded"),
        }
    }
}
