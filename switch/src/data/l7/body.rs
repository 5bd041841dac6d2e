//! HTTP/1.1 message bodies (RFC 9112 sections 6 and 7): where the content lies in the bytes that
//! came, when it ends, and how it is framed in chunks again.

use std::io::Write as _;

use super::field;
use super::head::Framing;
use crate::data::buffer::Buffer;

/// Bytes of one chunk's size line at most: sizes have 16 digits, extensions are rare and short.
const CHUNK_LINE: usize = 4096;
/// Bytes of chunk extensions in one body at most.
const EXTENSIONS: usize = 16 * 1024;
/// Bytes of a trailer section at most.
const TRAILERS: usize = 16 * 1024;

/// The body's bytes are not what their framing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Where a decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of content follow; then the body ends.
    Length(u64),
    /// Content until the connection ends.
    Close,
    /// A chunk's size line follows.
    ChunkSize,
    /// So many bytes of this chunk follow.
    ChunkData(u64),
    /// The CRLF behind a chunk's data.
    ChunkEnd,
    /// The trailer section.
    Trailers,
    /// The body is complete.
    Done,
}

/// What a decoder has for its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// So many bytes of content lie at the front of the buffer.
    Content(usize),
    /// More bytes are needed.
    NeedMore,
    /// The body is complete; what is in the buffer is not part of it.
    End,
}

/// Decodes one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    extensions: usize,
    /// Fields of the trailer section that may be passed on, as `name: value\r\n` lines.
    trailers: Vec<u8>,
}

impl Decoder {
    /// A decoder for a body framed like this.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::ChunkSize,
            Framing::Close => State::Close,
        };
        Self {
            state,
            extensions: 0,
            trailers: Vec::new(),
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection ends the body rather than breaking it.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::Close
    }

    /// Bytes of content that are known to follow.
    pub fn remaining(&self) -> u64 {
        match self.state {
            State::Length(n) | State::ChunkData(n) => n,
            State::Close => u64::MAX,
            _ => 0,
        }
    }

    /// The trailer lines that may be passed on.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Takes framing off the front of the buffer and tells what lies there then.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes break the chunked coding's grammar.
    pub fn part(&mut self, buffer: &mut Buffer) -> Result<Part, Malformed> {
        loop {
            match self.state {
                State::Done => return Ok(Part::End),
                _ if buffer.is_empty() => return Ok(Part::NeedMore),
                State::Close => return Ok(Part::Content(buffer.len())),
                State::Length(n) | State::ChunkData(n) => {
                    return Ok(Part::Content(
                        usize::try_from(n).map_or(buffer.len(), |n| n.min(buffer.len())),
                    ));
                }
                State::ChunkSize => {
                    let Some(line) = line(buffer.filled(), CHUNK_LINE)? else {
                        return Ok(Part::NeedMore);
                    };
                    let (size, extension) = chunk_size(line)?;
                    self.extensions += extension;
                    if self.extensions > EXTENSIONS {
                        return Err(Malformed);
                    }
                    let taken = line.len() + 2;
                    buffer.consume(taken);
                    self.state = if size == 0 {
                        State::Trailers
                    } else {
                        State::ChunkData(size)
                    };
                }
                State::ChunkEnd => match buffer.filled() {
                    [b'\r', b'\n', ..] => {
                        buffer.consume(2);
                        self.state = State::ChunkSize;
                    }
                    [b'\r'] => return Ok(Part::NeedMore),
                    _ => return Err(Malformed),
                },
                State::Trailers => {
                    let Some(line) = line(buffer.filled(), TRAILERS)? else {
                        return Ok(Part::NeedMore);
                    };
                    let taken = line.len() + 2;
                    if line.is_empty() {
                        self.state = State::Done;
                    } else {
                        self.trailer(line)?;
                    }
                    buffer.consume(taken);
                }
            }
        }
    }

    /// Content was taken from the front of the buffer by its user.
    pub fn took(&mut self, n: usize) {
        let n = n as u64;
        self.state = match self.state {
            State::Length(left) if left <= n => State::Done,
            State::Length(left) => State::Length(left - n),
            State::ChunkData(left) if left <= n => State::ChunkEnd,
            State::ChunkData(left) => State::ChunkData(left - n),
            state => state,
        };
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !field::is_token(name) || !field::is_value(value) {
            return Err(Malformed);
        }
        if self.trailers.len() + line.len() > TRAILERS {
            return Err(Malformed);
        }
        if may_trail(name) {
            for part in [name, b": ", value, b"\r\n"] {
                self.trailers.extend_from_slice(part);
            }
        }
        Ok(())
    }
}

/// Writes content as one chunk (RFC 9112 7.1). Not for empty content: that would end the body.
pub fn chunk(out: &mut Buffer, content: &[u8]) {
    // Writing to a buffer in memory cannot fail.
    let _ = write!(out, "{:x}\r\n", content.len());
    out.extend(content);
    out.extend(b"\r\n");
}

/// Writes the end of a body in chunks, with these trailer lines.
pub fn last_chunk(out: &mut Buffer, trailers: &[u8]) {
    out.extend(b"0\r\n");
    out.extend(trailers);
    out.extend(b"\r\n");
}

/// Fields that frame, route or modify the message mean nothing behind it (RFC 9110 6.5.1).
pub fn may_trail(name: &[u8]) -> bool {
    let known = field::Known::of(name);
    let control = [
        &b"authorization"[..],
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"max-forwards",
        b"range",
        b"set-cookie",
        b"age",
        b"expires",
        b"location",
        b"retry-after",
        b"vary",
        b"pragma",
        b"www-authenticate",
    ];
    known == field::Known::Other && !control.iter().any(|word| name.eq_ignore_ascii_case(word))
        || name.eq_ignore_ascii_case(b"date")
}

/// The first line without its CRLF; bare CR or LF are malformed.
fn line(bytes: &[u8], limit: usize) -> Result<Option<&[u8]>, Malformed> {
    let seen = &bytes[..bytes.len().min(limit)];
    match memchr::memchr2(b'\r', b'\n', seen) {
        Some(at) => match &bytes[at..] {
            [b'\r', b'\n', ..] => Ok(Some(&bytes[..at])),
            [b'\r'] => Ok(None),
            _ => Err(Malformed),
        },
        None if bytes.len() >= limit => Err(Malformed),
        None => Ok(None),
    }
}

/// Size and bytes of extension of a size line.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Malformed> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if digits == 0 || digits > 16 {
        return Err(Malformed);
    }
    let (number, extension) = line.split_at(digits);
    let spaces = extension
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let extension = &extension[spaces..];
    if !extension.is_empty() && (extension[0] != b';' || !field::is_value(extension)) {
        return Err(Malformed);
    }
    let mut size = 0u64;
    for digit in number {
        let digit = char::from(*digit).to_digit(16).ok_or(Malformed)?;
        size = size
            .checked_mul(16)
            .and_then(|n| n.checked_add(u64::from(digit)))
            .ok_or(Malformed)?;
    }
    // No body is that long; sums of such numbers would overflow elsewhere.
    if size > 1 << 60 {
        Err(Malformed)
    } else {
        Ok((size, extension.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, usize), Malformed> {
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut buffer = Buffer::new();
        let mut content = Vec::new();
        let mut fed = 0;
        loop {
            match decoder.part(&mut buffer)? {
                Part::Content(n) => {
                    content.extend_from_slice(&buffer.filled()[..n]);
                    buffer.consume(n);
                    decoder.took(n);
                }
                Part::NeedMore if fed == input.len() => return Err(Malformed),
                Part::NeedMore => {
                    let next = input.len().min(fed + step);
                    buffer.extend(&input[fed..next]);
                    fed = next;
                }
                Part::End => {
                    let rest = buffer.len() + input.len() - fed;
                    return Ok((content, decoder.trailers().to_vec(), rest));
                }
            }
        }
    }

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        let input =
            b"5;a=\"b\"\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nGET";
        for step in 1..input.len() {
            let (content, trailers, rest) = decode(input, step).expect("well-formed");
            assert_eq!(content, b"hello world");
            assert_eq!(trailers, b"X-Sum: 1\r\n");
            assert_eq!(rest, 3);
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for input in [
            &b"+5\r\nhello\r\n0\r\n\r\n"[..],
            b"\r\nhello\r\n0\r\n\r\n",
            b"g\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"5 x\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5;\nxx\r\nhello\r\n0\r\n\r\n",
            b"5\r\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"0\r\nbad trailer\r\n\r\n",
        ] {
            for step in [1, 3, 1000] {
                assert!(
                    decode(input, step).is_err(),
                    "{:?}",
                    String::from_utf8_lossy(input)
                );
            }
        }
    }

    #[test]
    fn endless_extensions_end() {
        let mut input = b"5;".to_vec();
        input.extend(std::iter::repeat_n(b'a', 100_000));
        assert!(decode(&input, 1000).is_err());
    }
}
