//! Header blocks: requests and trailers (RFC 9113 sections 4.3, 6.2, 6.10 and 8.1).

use super::control::depends_on_itself;
use super::{Arrival, Connection, Fault, Leaving};
use crate::data::l7::h2::frame::{self, ErrorCode, Head, flag};
use crate::data::l7::h2::hpack;
use crate::data::l7::h2::limits::Nuisance;
use crate::data::l7::h2::request::{Refusal, Trailers};
use crate::data::l7::h2::stream::{Key, Past, Stream};
use crate::data::l7::head::Framing;

/// A header block whose end has not come.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    ends_stream: bool,
    fault: Option<Fault>,
    bytes: Vec<u8>,
}

impl Connection {
    pub(super) fn headers(
        &mut self,
        head: &Head,
        payload: &[u8],
    ) -> Result<Option<Arrival>, Fault> {
        // Clients' streams have odd numbers (RFC 9113 5.1.1).
        if head.stream.is_multiple_of(2) {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        let bad_padding = Fault::Connection(ErrorCode::Protocol);
        let mut part = frame::unpadded(head, payload).ok_or(bad_padding)?;
        let mut fault = None;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = part
                .split_first_chunk::<5>()
                .ok_or(Fault::Connection(ErrorCode::FrameSize))?;
            fault = depends_on_itself(head.stream, priority);
            part = rest;
        }
        let ends_stream = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, ends_stream, fault, part);
        }
        self.block = Some(Block {
            stream: head.stream,
            ends_stream,
            fault,
            bytes: part.to_vec(),
        });
        Ok(None)
    }

    pub(super) fn continuation(
        &mut self,
        head: &Head,
        payload: &[u8],
    ) -> Result<Option<Arrival>, Fault> {
        self.charge(Nuisance::Continuation)?;
        let most = self.limits.head.max(frame::MAX_PAYLOAD) * 2;
        let Some(block) = &mut self.block else {
            return Err(Fault::Connection(ErrorCode::Protocol));
        };
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > most {
            return Err(Fault::Connection(ErrorCode::EnhanceYourCalm));
        }
        if !head.has(flag::END_HEADERS) {
            return Ok(None);
        }
        match self.block.take() {
            Some(block) => self.block(block.stream, block.ends_stream, block.fault, &block.bytes),
            None => Ok(None),
        }
    }

    /// A whole header block: it must be decoded whatever becomes of it.
    fn block(
        &mut self,
        id: u32,
        ends_stream: bool,
        fault: Option<Fault>,
        block: &[u8],
    ) -> Result<Option<Arrival>, Fault> {
        if let Some(key) = self.streams.find(id) {
            return self.trailers(key, id, ends_stream, block).map(|()| None);
        }
        if id <= self.last {
            return self.late_block(id, block).map(|()| None);
        }
        self.last = id;
        let ignored = matches!(self.leaving, Leaving::Told(last) if id > last);
        let crowded = self.streams.count() >= self.limits.streams as usize;
        if ignored || crowded || fault.is_some() {
            self.decode_nothing(block)?;
            self.streams.close(id, Past::Cut);
            let refused = Fault::Stream(id, ErrorCode::RefusedStream);
            return match fault {
                _ if ignored => Ok(None),
                Some(fault) => Err(fault),
                None => Err(refused),
            };
        }
        self.request(id, ends_stream, block).map(Some)
    }

    fn late_block(&mut self, id: u32, block: &[u8]) -> Result<(), Fault> {
        match self.streams.past(id) {
            Past::Cut => self.decode_nothing(block),
            Past::Closed => Err(Fault::Connection(ErrorCode::StreamClosed)),
            // Numbers must go up (RFC 9113 5.1.1).
            Past::Unknown => Err(Fault::Connection(ErrorCode::Protocol)),
        }
    }

    fn decode_nothing(&mut self, block: &[u8]) -> Result<(), Fault> {
        self.decoder.decode(block, |_, _| ()).map_err(lost)
    }

    fn request(&mut self, id: u32, ended: bool, block: &[u8]) -> Result<Arrival, Fault> {
        let draft = &mut self.draft;
        draft.begin(self.limits.head, self.limits.fields);
        self.decoder
            .decode(block, |name, value| draft.field(name, value))
            .map_err(lost)?;
        let head = match draft.finish(ended) {
            Ok(head) => Ok(head),
            Err(Refusal::Answer(reason)) => Err(reason),
            Err(Refusal::Malformed) => {
                self.streams.close(id, Past::Cut);
                return Err(Fault::Stream(id, ErrorCode::Protocol));
            }
        };
        let framing = head.as_ref().map(|head| head.framing);
        let expected = match framing {
            Ok(Framing::Length(n)) => Some(n),
            Ok(Framing::None) => Some(0),
            _ => None,
        };
        let stream = Stream::new(id, ended, expected, self.first_outlet);
        let key = self.streams.open(stream);
        Ok(Arrival { key, head })
    }

    fn trailers(&mut self, key: Key, id: u32, ended: bool, block: &[u8]) -> Result<(), Fault> {
        let mut trailers = Trailers::default();
        self.decoder
            .decode(block, |name, value| trailers.field(name, value))
            .map_err(lost)?;
        let malformed = Fault::Stream(id, ErrorCode::Protocol);
        let Some(stream) = self.streams.get(key) else {
            return Ok(());
        };
        if stream.ended_in {
            return Err(Fault::Stream(id, ErrorCode::StreamClosed));
        }
        let lines = trailers.finish().map_err(|_| malformed)?;
        if !ended || stream.expected.is_some_and(|left| left > 0) {
            return Err(malformed);
        }
        stream.trailers = lines;
        stream.ended_in = true;
        self.touch(key);
        Ok(())
    }
}

fn lost(_: hpack::Malformed) -> Fault {
    Fault::Connection(ErrorCode::Compression)
}
