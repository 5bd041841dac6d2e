//! The head of a WebSocket frame (RFC 6455 section 5.2): pure, no I/O.

/// Bytes of a payload at most; a longer one ends the connection.
pub(super) const MAX_PAYLOAD: u64 = 1 << 20;
/// Bytes of a control frame's payload at most (RFC 6455 section 5.5).
const MAX_CONTROL: u64 = 125;

/// The opcode of a frame that ends the connection.
pub(super) const CLOSE: u8 = 0x8;
/// The opcode of a frame that asks for a [`PONG`].
pub(super) const PING: u8 = 0x9;
/// The opcode of a frame that answers a [`PING`].
pub(super) const PONG: u8 = 0xA;

/// The head of a frame from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Whether the message ends with this frame.
    pub(super) last: bool,
    /// What the frame is.
    pub(super) opcode: u8,
    /// Bytes of payload.
    pub(super) length: u64,
    /// What the payload is masked with.
    pub(super) mask: [u8; 4],
}

impl Head {
    /// Bytes that follow the first two: a longer length, and the mask.
    pub(super) fn rest(start: [u8; 2]) -> Result<usize, Refusal> {
        if start[1] & 0x80 == 0 {
            return Err(Refusal::Protocol);
        }
        Ok(match start[1] & 0x7F {
            126 => 2 + 4,
            127 => 8 + 4,
            _ => 4,
        })
    }

    /// Reads the head: its first two bytes, and as many as [`Head::rest`] says.
    pub(super) fn read(start: [u8; 2], rest: &[u8]) -> Result<Self, Refusal> {
        let (wide, mask) = rest.split_last_chunk::<4>().ok_or(Refusal::Protocol)?;
        let length = match wide {
            [] => u64::from(start[1] & 0x7F),
            _ => wide.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let head = Self {
            last: start[0] & 0x80 != 0,
            opcode: start[0] & 0x0F,
            length,
            mask: *mask,
        };
        head.check(start[0] & 0x70 != 0)
    }

    fn check(self, reserved: bool) -> Result<Self, Refusal> {
        let control = self.opcode >= CLOSE;
        let known = matches!(self.opcode, 0x0..=0x2 | CLOSE | PING | PONG);
        if reserved || !known || control && (!self.last || self.length > MAX_CONTROL) {
            return Err(Refusal::Protocol);
        }
        if self.length > MAX_PAYLOAD {
            Err(Refusal::TooBig)
        } else {
            Ok(self)
        }
    }
}

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It breaks the protocol.
    Protocol,
    /// Its payload is above [`MAX_PAYLOAD`].
    TooBig,
}

impl Refusal {
    /// The status that the connection is closed with (RFC 6455 section 7.4.1).
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::TooBig => 1009,
        }
    }
}

/// Unmasks a payload, or masks it: the one undoes the other.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// A whole frame as a server sends it, not masked.
pub(super) fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![if last { 0x80 | opcode } else { opcode }];
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xFFFF => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

    #[test]
    fn the_masked_hello_of_rfc_6455_is_read() {
        let start = [0x81, 0x85];
        assert_eq!(Head::rest(start), Ok(4));
        let head = Head::read(start, &MASK).unwrap();
        assert_eq!(
            head,
            Head {
                last: true,
                opcode: 0x1,
                length: 5,
                mask: MASK
            }
        );
        let mut payload = [0x7F, 0x9F, 0x4D, 0x51, 0x58];
        unmask(&mut payload, head.mask);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn longer_lengths_are_read_and_bounded() {
        let with = |length: &[u8]| [length, &MASK].concat();
        assert_eq!(Head::rest([0x82, 0xFE]), Ok(6));
        assert_eq!(
            Head::read([0x82, 0xFE], &with(&[1, 0])).unwrap().length,
            256
        );
        assert_eq!(Head::rest([0x82, 0xFF]), Ok(12));
        let most = MAX_PAYLOAD.to_be_bytes();
        assert_eq!(
            Head::read([0x82, 0xFF], &with(&most)).unwrap().length,
            MAX_PAYLOAD
        );
        let more = (MAX_PAYLOAD + 1).to_be_bytes();
        assert_eq!(Head::read([0x82, 0xFF], &with(&more)), Err(Refusal::TooBig));
        assert_eq!(
            Head::read([0x82, 0xFF], &with(&[0xFF; 8])),
            Err(Refusal::TooBig)
        );
    }

    #[test]
    fn frames_that_break_the_protocol_are_refused() {
        assert_eq!(
            Head::rest([0x81, 0x05]),
            Err(Refusal::Protocol),
            "not masked"
        );
        for (start, why) in [
            ([0xC1, 0x80], "reserved bit"),
            ([0x83, 0x80], "unknown opcode"),
            ([0x09, 0x80], "control frame in parts"),
        ] {
            assert_eq!(Head::read(start, &MASK), Err(Refusal::Protocol), "{why}");
        }
        let long_ping = Head::read([0x89, 0xFE], &[0, 126, 1, 2, 3, 4]);
        assert_eq!(long_ping, Err(Refusal::Protocol));
    }

    #[test]
    fn frames_are_written_with_the_shortest_length() {
        assert_eq!(frame(true, 0x1, b"Hello"), b"\x81\x05Hello");
        assert_eq!(frame(false, 0x2, &[7; 256])[..4], [0x02, 126, 1, 0]);
        assert_eq!(
            frame(true, 0x2, &[7; 65_536])[..10],
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
    }
}
