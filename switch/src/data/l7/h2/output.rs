//! Bytes on their way to the client, and where in their row each one stands.

use super::frame::{self, Kind};

/// Storage that is kept while the connection is in use, in bytes.
const KEPT: usize = 128 * 1024;
/// Storage that is taken at once: enough for a head and some content.
const FIRST: usize = 4 * 1024;

/// What is to be written.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    start: usize,
    /// Bytes that were written before.
    written: u64,
}

impl Output {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that wait.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The first `n` bytes were written.
    pub fn wrote(&mut self, n: usize) {
        self.written += n as u64;
        self.start += n;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            self.bytes.shrink_to(KEPT);
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Gives the storage back when nothing waits.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
            self.start = 0;
        }
    }

    /// The bytes' end, to append at.
    pub fn end(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(FIRST);
        }
        &mut self.bytes
    }

    /// The place in the row of bytes at which the next one will stand.
    pub fn place(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// Sets a flag in the frame whose head was appended at `place`; `false` when it is too late.
    pub fn set_flag(&mut self, place: u64, flag: u8) -> bool {
        let at = place
            .checked_sub(self.written)
            .and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.bytes.get_mut(self.start + at + 4)) {
            Some(flags) => {
                *flags |= flag;
                true
            }
            None => false,
        }
    }

    /// Appends the frame's head and its payload.
    pub fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        frame::write(self.end(), kind, flags, stream, payload);
    }

    /// Makes frames of the header block that was appended behind the head at `place`: that head
    /// gets its length, and what is too long for one frame goes on in CONTINUATION.
    pub fn close_block(&mut self, place: u64, stream: u32) {
        let at = self.start + (place - self.written) as usize;
        let length = self.bytes.len() - at - frame::HEAD;
        let first = length.min(frame::MAX_PAYLOAD);
        let [_, l1, l2, l3] = (first as u32).to_be_bytes();
        self.bytes[at..at + 3].copy_from_slice(&[l1, l2, l3]);
        if length == first {
            self.bytes[at + 4] |= frame::flag::END_HEADERS;
            return;
        }
        let rest = self.bytes.split_off(at + frame::HEAD + first);
        let mut parts = rest.chunks(frame::MAX_PAYLOAD).peekable();
        while let Some(part) = parts.next() {
            let flags = match parts.peek() {
                Some(_) => 0,
                None => frame::flag::END_HEADERS,
            };
            self.frame(Kind::Continuation, flags, stream, part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{HEAD, Head, MAX_PAYLOAD, flag};
    use super::*;

    #[test]
    fn a_flag_can_be_set_until_its_frame_was_written() {
        let mut output = Output::default();
        output.frame(Kind::Data, 0, 1, b"first");
        let place = output.place();
        output.frame(Kind::Data, 0, 1, b"second");
        output.wrote(HEAD + 5);
        assert!(output.set_flag(place, flag::END_STREAM));
        assert!(Head::read(output.waiting()).unwrap().has(flag::END_STREAM));
        output.wrote(1);
        assert!(!output.set_flag(place, flag::END_STREAM));
    }

    #[test]
    fn a_long_header_block_goes_on_in_continuations() {
        let mut output = Output::default();
        output.frame(Kind::Ping, 0, 0, &[0; 8]);
        output.wrote(3);
        let place = output.place();
        output.frame(Kind::Headers, flag::END_STREAM, 7, &[]);
        let block: Vec<u8> = (0..MAX_PAYLOAD * 2 + 5).map(|n| n as u8).collect();
        output.end().extend_from_slice(&block);
        output.close_block(place, 7);
        let mut rest = &output.waiting()[HEAD + 8 - 3..];
        let (mut joined, mut kinds) = (Vec::new(), Vec::new());
        while let Some(head) = Head::read(rest) {
            joined.extend_from_slice(&rest[HEAD..HEAD + head.length]);
            kinds.push((head.kind, head.flags));
            rest = &rest[HEAD + head.length..];
        }
        assert_eq!(joined, block);
        assert_eq!(
            kinds,
            [
                (Kind::Headers, flag::END_STREAM),
                (Kind::Continuation, 0),
                (Kind::Continuation, flag::END_HEADERS)
            ]
        );
    }
}
