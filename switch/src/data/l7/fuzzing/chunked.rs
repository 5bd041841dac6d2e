//! The chunked coding, cut where the network happens to cut it.

use super::audit::{self, Frame};
use crate::data::buffer::Buffer;
use crate::data::l7::body::{self, Decoder, Part};
use crate::data::l7::head::Framing;

/// Bytes of a body in chunks.
pub fn chunked(bytes: &[u8]) {
    let whole = Decoded::of(bytes, Framing::Chunked, bytes.len().max(1), 0);
    let cuts = bytes.iter().fold(1u64, |sum, byte| {
        sum.wrapping_mul(0x0100_0000_01b3)
            .wrapping_add(u64::from(*byte))
    });
    for (step, cuts) in [(1, 0), (7, cuts), (300, !cuts)] {
        let pieces = Decoded::of(bytes, Framing::Chunked, step, cuts);
        assert_eq!(whole, pieces, "cut into {step} bytes");
    }
    if let Ok(plain) = audit::body(bytes, Frame::Chunked) {
        assert_eq!(
            whole.end,
            Some(bytes.len() - plain.2),
            "a plain body is refused"
        );
        assert_eq!(whole.content, plain.0);
    }
    if whole.end.is_some() {
        whole.assert_encodes_plainly();
    }
}

/// What a decoder made of a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub content: Vec<u8>,
    pub trailers: Vec<u8>,
    /// Bytes that follow the body; `None` when it is malformed or cut short.
    pub end: Option<usize>,
}

impl Decoded {
    /// Feeds at most `step` bytes at a time, fewer as `cuts` has it.
    pub fn of(bytes: &[u8], framing: Framing, step: usize, mut cuts: u64) -> Self {
        let mut decoder = Decoder::new(framing);
        let mut buffer = Buffer::new();
        let (mut content, mut fed) = (Vec::new(), 0);
        let mut turns = 0;
        let end = loop {
            turns += 1;
            assert!(turns <= 3 * bytes.len() + 10, "the decoder makes no way");
            match decoder.part(&mut buffer) {
                Err(_) => break None,
                Ok(Part::Content(n)) => {
                    assert!(n > 0 && n <= buffer.len());
                    content.extend_from_slice(&buffer.filled()[..n]);
                    buffer.consume(n);
                    decoder.took(n);
                }
                Ok(Part::NeedMore) if fed == bytes.len() => {
                    break decoder.ends_with_connection().then_some(0);
                }
                Ok(Part::NeedMore) => {
                    let n = 1 + (cuts % step as u64) as usize;
                    let n = if cuts == 0 { step } else { n };
                    cuts = cuts.rotate_left(11).wrapping_mul(3);
                    let next = bytes.len().min(fed + n);
                    buffer.extend(&bytes[fed..next]);
                    fed = next;
                }
                Ok(Part::End) => break Some(buffer.len() + bytes.len() - fed),
            }
        };
        let trailers = decoder.trailers().to_vec();
        Self {
            content,
            trailers,
            end,
        }
    }

    /// What is framed again is what a strict reader takes, and says the same.
    pub fn assert_encodes_plainly(&self) {
        let mut out = Buffer::new();
        for part in self.content.chunks(1000) {
            body::chunk(&mut out, part);
        }
        body::last_chunk(&mut out, &self.trailers);
        match audit::body(out.filled(), Frame::Chunked) {
            Ok(read) => assert_eq!(
                read,
                (self.content.clone(), self.trailers.clone(), out.len())
            ),
            Err(doubt) => panic!("{doubt}: {}", out.filled().escape_ascii()),
        }
    }
}
