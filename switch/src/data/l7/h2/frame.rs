//! Frames on the wire (RFC 9113 sections 4 and 6): reading their heads, writing whole ones.

/// Bytes of a frame's head.
pub const HEAD: usize = 9;

/// Bytes of payload in the frames that are taken and sent: no more than every peer must take.
pub const MAX_PAYLOAD: usize = 16_384;

/// Flags of frames; which of them mean anything depends on the frame's kind.
pub mod flag {
    /// The sender's side of the stream ends with this frame (DATA, HEADERS).
    pub const END_STREAM: u8 = 0x1;
    /// An acknowledgement (SETTINGS, PING).
    pub const ACK: u8 = 0x1;
    /// The header block is complete (HEADERS, CONTINUATION).
    pub const END_HEADERS: u8 = 0x4;
    /// There is padding (DATA, HEADERS).
    pub const PADDED: u8 = 0x8;
    /// There are five bytes of priority (HEADERS).
    pub const PRIORITY: u8 = 0x20;
}

/// What a frame is (RFC 9113 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Content.
    Data,
    /// The begin of a header block.
    Headers,
    /// Advice on priority, deprecated.
    Priority,
    /// The end of a stream before its time.
    ResetStream,
    /// What the sender can take.
    Settings,
    /// Clients never send it.
    PushPromise,
    /// A question that is answered with the same bytes.
    Ping,
    /// No streams after this one.
    GoAway,
    /// More may be sent.
    WindowUpdate,
    /// More of a header block.
    Continuation,
    /// To be ignored (RFC 9113 4.1).
    Unknown,
}

impl Kind {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::ResetStream,
            4 => Kind::Settings,
            5 => Kind::PushPromise,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Unknown,
        }
    }
}

/// Why a stream or connection ends (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ErrorCode {
    /// Nothing is wrong.
    No = 0,
    /// The peer broke the protocol.
    Protocol = 1,
    /// A fault of this side.
    Internal = 2,
    /// More was sent than the window allowed.
    FlowControl = 3,
    /// A frame on a stream that had ended.
    StreamClosed = 5,
    /// A frame's length is not what its kind asks for.
    FrameSize = 6,
    /// The stream was not looked at: it may be tried again.
    RefusedStream = 7,
    /// The header compression's state is lost.
    Compression = 9,
    /// The peer causes work without end.
    EnhanceYourCalm = 11,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of payload.
    pub length: usize,
    /// What it is.
    pub kind: Kind,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
}

impl Head {
    /// The head at the front of these bytes; `None` while it is incomplete.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = *bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: u32::from_be_bytes([0, l1, l2, l3]) as usize,
            kind: Kind::from_byte(kind),
            flags,
            stream: u31([s1, s2, s3, s4]),
        })
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A number of 31 bits; the bit before it is reserved and ignored.
pub fn u31(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// The payload of a DATA or HEADERS frame without its padding; `None` where the padding is longer
/// than the frame (RFC 9113 6.1).
pub fn unpadded<'p>(head: &Head, payload: &'p [u8]) -> Option<&'p [u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*padding))?)
}

/// The bytes of a frame's head; `length` is at most [`MAX_PAYLOAD`].
pub fn head(kind: Kind, flags: u8, stream: u32, length: usize) -> [u8; HEAD] {
    let [_, l1, l2, l3] = (length as u32).to_be_bytes();
    let [s1, s2, s3, s4] = stream.to_be_bytes();
    [l1, l2, l3, kind as u8, flags, s1, s2, s3, s4]
}

/// Appends a frame.
pub fn write(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&head(kind, flags, stream, payload.len()));
    out.extend_from_slice(payload);
}

/// Appends RST_STREAM.
pub fn reset(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    let code = (code as u32).to_be_bytes();
    write(out, Kind::ResetStream, 0, stream, &code);
}

/// Appends WINDOW_UPDATE.
pub fn window_update(out: &mut Vec<u8>, stream: u32, more: u32) {
    write(out, Kind::WindowUpdate, 0, stream, &more.to_be_bytes());
}

/// Appends GOAWAY: streams up to `last` are or were served.
pub fn go_away(out: &mut Vec<u8>, last: u32, code: ErrorCode) {
    let (last, code) = (last.to_be_bytes(), (code as u32).to_be_bytes());
    write(out, Kind::GoAway, 0, 0, &[last, code].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let bytes = head(Kind::Headers, flag::END_HEADERS, 5, 300);
        let read = Head::read(&bytes).unwrap();
        assert_eq!(
            (read.kind, read.stream, read.length),
            (Kind::Headers, 5, 300)
        );
        assert!(read.has(flag::END_HEADERS));
        assert_eq!(Head::read(&bytes[..8]), None);
    }

    #[test]
    fn padding_longer_than_its_frame_is_found() {
        let padded = Head {
            length: 4,
            kind: Kind::Data,
            flags: flag::PADDED,
            stream: 1,
        };
        assert_eq!(unpadded(&padded, &[1, b'a', b'b', 0]), Some(&b"ab"[..]));
        assert_eq!(unpadded(&padded, &[3, 0, 0, 0]), Some(&b""[..]));
        assert_eq!(unpadded(&padded, &[4, 0, 0, 0]), None);
        assert_eq!(unpadded(&padded, &[]), None);
    }
}
