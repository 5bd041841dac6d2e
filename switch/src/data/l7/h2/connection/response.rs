//! Responses, within the windows that the client gives (RFC 9113 sections 8.1 and 6.9).

use super::{Connection, Sent};
use crate::data::l7::client::Outgoing;
use crate::data::l7::forward::decimal;
use crate::data::l7::h2::frame::{self, ErrorCode, Kind, flag};
use crate::data::l7::h2::hpack;
use crate::data::l7::h2::stream::{Key, Past, Wait};

impl Connection {
    /// Sends a response's head. `last`: no content follows. `false` when the stream was reset.
    pub fn respond(&mut self, key: Key, head: &Outgoing<'_>, last: bool) -> bool {
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.gone) else {
            return false;
        };
        let (id, place) = (stream.id, self.output.place());
        if head.status >= 200 {
            stream.last_frame = Some(place);
            stream.ended_out = last;
        }
        let flags = if last { flag::END_STREAM } else { 0 };
        self.output.frame(Kind::Headers, flags, id, &[]);
        let end = self.output.end();
        if std::mem::take(&mut self.tells_table) {
            hpack::no_dynamic_table(end);
        }
        hpack::status(end, head.status);
        for (name, value) in head.fields {
            hpack::field(end, name, value);
        }
        if let Some(length) = head.content_length {
            hpack::field(end, b"content-length", decimal(length, &mut [0; 20]));
        }
        self.output.close_block(place, id);
        true
    }

    /// Sends content, as much as there is room for. The response ends once `left` bytes are sent.
    pub fn send(&mut self, key: Key, content: &[u8], left: Option<u64>) -> Sent {
        let full = self.is_full();
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.gone) else {
            return Sent::Gone;
        };
        if stream.ended_out || content.is_empty() {
            return Sent::Taken(content.len());
        }
        let (own, shared) = (stream.outlet.room(), self.outlet.room());
        if own == 0 {
            stream.wait = Wait::Stream;
            return Sent::Wait;
        }
        if shared == 0 || full {
            if stream.wait != Wait::Connection {
                stream.wait = Wait::Connection;
                self.waiting.push(key);
            }
            return Sent::Wait;
        }
        let n = content.len().min(own).min(shared).min(frame::MAX_PAYLOAD);
        stream.outlet.sent(n);
        self.outlet.sent(n);
        stream.ended_out = left == Some(n as u64);
        stream.last_frame = Some(self.output.place());
        let flags = if stream.ended_out {
            flag::END_STREAM
        } else {
            0
        };
        self.output
            .frame(Kind::Data, flags, stream.id, &content[..n]);
        self.budget.moved(n);
        Sent::Taken(n)
    }

    /// Ends the response. `false` when the stream was reset.
    pub fn end(&mut self, key: Key, trailers: &[u8]) -> bool {
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.gone) else {
            return false;
        };
        if std::mem::replace(&mut stream.ended_out, true) {
            return true;
        }
        let (id, place) = (stream.id, stream.last_frame);
        if !trailers.is_empty() {
            let place = self.output.place();
            self.output.frame(Kind::Headers, flag::END_STREAM, id, &[]);
            for (name, value) in lines(trailers) {
                hpack::field(self.output.end(), name, value);
            }
            self.output.close_block(place, id);
        } else if !place.is_some_and(|place| self.output.set_flag(place, flag::END_STREAM)) {
            self.output.frame(Kind::Data, flag::END_STREAM, id, &[]);
        }
        true
    }

    /// The exchange on this stream is over.
    pub fn finish(&mut self, key: Key) {
        let Some(stream) = self.streams.forget(key) else {
            return;
        };
        self.return_window(stream.held);
        if stream.gone {
            return;
        }
        let how = match (stream.ended_out, stream.ended_in) {
            (true, true) => Past::Closed,
            // What is still to come of the request is not wanted (RFC 9113 8.1).
            (true, false) => {
                frame::reset(self.output.end(), stream.id, ErrorCode::No);
                Past::Cut
            }
            (false, _) => {
                frame::reset(self.output.end(), stream.id, ErrorCode::Internal);
                Past::Cut
            }
        };
        if stream.ended_out {
            self.budget.responded();
        }
        self.streams.close(stream.id, how);
    }
}

/// The fields of `name: value` lines.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}
