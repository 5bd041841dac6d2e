//! Content of requests, within the windows that the client was given (RFC 9113 sections 6.1, 6.9).

use super::{Body, Connection, Fault};
use crate::data::buffer::Buffer;
use crate::data::l7::h2::frame::{self, ErrorCode, Head, flag};
use crate::data::l7::h2::limits::Nuisance;
use crate::data::l7::h2::stream::{Key, Past};

impl Connection {
    pub(super) fn data(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let id = head.stream;
        if id.is_multiple_of(2) || id > self.last {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        let overrun = |_| Fault::Connection(ErrorCode::FlowControl);
        self.inlet.came(payload.len()).map_err(overrun)?;
        let Some(content) = frame::unpadded(head, payload) else {
            return Err(Fault::Connection(ErrorCode::Protocol));
        };
        let Some(key) = self.streams.find(id) else {
            self.return_window(payload.len());
            return match self.streams.past(id) {
                Past::Cut => self.charge(Nuisance::WindowUpdate),
                _ => Err(Fault::Stream(id, ErrorCode::StreamClosed)),
            };
        };
        let ended = head.has(flag::END_STREAM);
        if content.is_empty() && !ended {
            self.charge(Nuisance::EmptyData)?;
        }
        let taken = self.content(key, content, payload.len(), ended);
        let unused = match taken {
            Ok(()) => payload.len() - content.len(),
            Err(_) => payload.len(),
        };
        self.return_window(unused);
        taken.map_err(|code| Fault::Stream(id, code))
    }

    fn content(
        &mut self,
        key: Key,
        content: &[u8],
        length: usize,
        ended: bool,
    ) -> Result<(), ErrorCode> {
        let Some(stream) = self.streams.get(key) else {
            return Err(ErrorCode::StreamClosed);
        };
        if stream.ended_in {
            return Err(ErrorCode::StreamClosed);
        }
        let overrun = |_| ErrorCode::FlowControl;
        stream.inlet.came(length).map_err(overrun)?;
        if let Some(left) = &mut stream.expected {
            let n = content.len() as u64;
            *left = left.checked_sub(n).ok_or(ErrorCode::Protocol)?;
            if ended && *left > 0 {
                return Err(ErrorCode::Protocol);
            }
        }
        stream.content.extend(content);
        stream.held += content.len();
        stream.ended_in = ended;
        let padding = stream.inlet.passed_on(length - content.len());
        if let Some(more) = padding.filter(|_| !ended) {
            frame::window_update(self.output.end(), stream.id, more);
        }
        self.budget.moved(content.len());
        self.touch(key);
        Ok(())
    }

    /// Hands over the content that came; `into` must be empty.
    pub fn body(&mut self, key: Key, into: &mut Buffer) -> Body {
        match self.streams.get(key) {
            Some(stream) if !stream.gone => {
                if !stream.content.is_empty() {
                    std::mem::swap(&mut stream.content, into);
                    Body::Content
                } else if stream.ended_in {
                    Body::End(std::mem::take(&mut stream.trailers))
                } else {
                    Body::Wait
                }
            }
            _ => Body::Gone,
        }
    }

    /// `n` bytes of the content that was handed over were passed on: their window is open again.
    pub fn took(&mut self, key: Key, n: usize) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        stream.held -= n;
        if !stream.ended_in
            && !stream.gone
            && let Some(more) = stream.inlet.passed_on(n)
        {
            frame::window_update(self.output.end(), stream.id, more);
        }
        self.return_window(n);
    }
}
