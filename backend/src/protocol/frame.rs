//! Frames on a stream of bytes: a length of 16 bits in network order, then so many bytes.

/// Bytes in front of each frame.
pub const PREFIX: usize = 2;

/// Puts frames together from pieces of any size. It holds one frame at most, if nobody pushes more
/// than it has [`Inbox::room`] for.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbox {
    /// How many bytes may be pushed until the longest frame is complete.
    pub fn room(&self, limit: usize) -> usize {
        (PREFIX + limit).saturating_sub(self.waiting().len())
    }

    /// What has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if it is complete.
    ///
    /// # Errors
    /// It is empty, or longer than `limit` bytes: nothing behind it can be read.
    pub fn frame(&mut self, limit: usize) -> Result<Option<&[u8]>, &'static str> {
        let Some(length) = self.length() else {
            return Ok(None);
        };
        if length == 0 {
            return Err("a frame is empty");
        }
        if length > limit {
            return Err("a frame is too long");
        }
        if self.waiting().len() < PREFIX + length {
            return Ok(None);
        }
        let begin = self.start + PREFIX;
        self.start = begin + length;
        Ok(Some(&self.bytes[begin..self.start]))
    }

    /// Whether [`Inbox::frame`] has something to say without another push.
    pub fn is_ready(&self, limit: usize) -> bool {
        self.length().is_some_and(|length| {
            length == 0 || length > limit || self.waiting().len() >= PREFIX + length
        })
    }

    fn length(&self) -> Option<usize> {
        let prefix = self.waiting().first_chunk::<PREFIX>()?;
        Some(usize::from(u16::from_be_bytes(*prefix)))
    }

    fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Appends a frame whose `length` bytes, 1 to 65,535, are filled in by `fill`.
pub fn put(out: &mut Vec<u8>, length: usize, fill: impl FnOnce(&mut [u8])) {
    let prefix = u16::try_from(length).expect("no message is longer than MAX_MESSAGE");
    out.extend_from_slice(&prefix.to_be_bytes());
    let start = out.len();
    out.resize(start + length, 0);
    fill(&mut out[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![];
        for frame in frames {
            put(&mut out, frame.len(), |bytes| bytes.copy_from_slice(frame));
        }
        out
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            frames in vec(vec(any::<u8>(), 1..300), 0..20),
            cuts in vec(1usize..400, 1..50),
        ) {
            let bytes = framed(&frames);
            let (mut inbox, mut got, mut rest) = (Inbox::default(), vec![], &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*cut).min(inbox.room(300)));
                inbox.push(piece);
                rest = after;
                while let Some(frame) = inbox.frame(300).unwrap() {
                    got.push(frame.to_vec());
                }
                prop_assert!(!inbox.is_ready(300));
                prop_assert!(inbox.bytes.len() <= PREFIX + 300);
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, frames);
        }
    }

    #[test]
    fn an_empty_frame_and_one_beyond_the_limit_are_refused_by_their_length_alone() {
        for (bytes, limit) in [([0, 0], 10), ([0, 11], 10), ([0xff, 0xff], 60_016)] {
            let mut inbox = Inbox::default();
            inbox.push(&bytes);
            assert!(inbox.is_ready(limit));
            assert!(inbox.frame(limit).is_err(), "{bytes:?}");
        }
    }
}
