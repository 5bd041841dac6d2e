//! Frames that carry no message: windows, resets, settings, pings (RFC 9113 sections 6.3 to 6.9).

use super::{Connection, FAREWELL, Fault, Leaving};
use crate::data::l7::h2::flow;
use crate::data::l7::h2::frame::{ErrorCode, Head, Kind, flag, u31};
use crate::data::l7::h2::hpack;
use crate::data::l7::h2::limits::Nuisance;
use crate::data::l7::h2::stream::{Key, Past, Wait};

impl Connection {
    pub(super) fn window_update(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let more = u31(exactly(payload)?);
        let id = head.stream;
        self.charge(Nuisance::WindowUpdate)?;
        if id == 0 {
            if more == 0 {
                return Err(Fault::Connection(ErrorCode::Protocol));
            }
            let opened = self.outlet.change(i64::from(more));
            opened.map_err(|_| Fault::Connection(ErrorCode::FlowControl))?;
            self.touch_waiting();
            return Ok(());
        }
        let Some(key) = self.live(id)? else {
            return Ok(());
        };
        if more == 0 {
            return Err(Fault::Stream(id, ErrorCode::Protocol));
        }
        let Some(stream) = self.streams.get(key) else {
            return Ok(());
        };
        let opened = stream.outlet.change(i64::from(more));
        opened.map_err(|_| Fault::Stream(id, ErrorCode::FlowControl))?;
        if stream.wait == Wait::Stream {
            self.touch(key);
        }
        Ok(())
    }

    /// The open stream of this number; an error for one that was never opened.
    fn live(&self, id: u32) -> Result<Option<Key>, Fault> {
        if id > self.last || id == 0 || id.is_multiple_of(2) {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        Ok(self.streams.find(id))
    }

    pub(super) fn reset_stream(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        exactly::<4>(payload)?;
        match self.live(head.stream)? {
            Some(key) => {
                self.lose(key, Past::Closed);
                self.charge(Nuisance::Reset)
            }
            None => self.charge(Nuisance::Ignored),
        }
    }

    pub(super) fn settings(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        let entries = payload.chunks_exact(6);
        let is_ack = head.has(flag::ACK);
        if !entries.remainder().is_empty() || (is_ack && !payload.is_empty()) {
            return Err(Fault::Connection(ErrorCode::FrameSize));
        }
        self.charge(Nuisance::Settings)?;
        if is_ack {
            return Ok(());
        }
        for entry in entries {
            if let [i1, i2, value @ ..] = entry {
                let value = u32::from_be_bytes(exactly(value)?);
                self.setting(u16::from_be_bytes([*i1, *i2]), value)?;
            }
        }
        self.output.frame(Kind::Settings, flag::ACK, 0, &[]);
        Ok(())
    }

    fn setting(&mut self, id: u16, value: u32) -> Result<(), Fault> {
        match id {
            1 => self.tells_table |= (value as usize) < hpack::TABLE_SIZE,
            2 if value > 1 => return Err(Fault::Connection(ErrorCode::Protocol)),
            4 => return self.change_windows(i64::from(value)),
            5 if !(16_384..=16_777_215).contains(&value) => {
                return Err(Fault::Connection(ErrorCode::Protocol));
            }
            _ => (),
        }
        Ok(())
    }

    /// The client's window for streams changed, also for those that are open (RFC 9113 6.9.2).
    fn change_windows(&mut self, first: i64) -> Result<(), Fault> {
        let overflow = Fault::Connection(ErrorCode::FlowControl);
        if first > flow::LARGEST {
            return Err(overflow);
        }
        let by = first - std::mem::replace(&mut self.first_outlet, first);
        if by == 0 {
            return Ok(());
        }
        for key in self.streams.keys().collect::<Vec<_>>() {
            if let Some(stream) = self.streams.get(key) {
                stream.outlet.change(by).map_err(|_| overflow)?;
                if by > 0 && stream.wait == Wait::Stream {
                    self.touch(key);
                }
            }
        }
        Ok(())
    }

    pub(super) fn ping(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let question: [u8; 8] = exactly(payload)?;
        if head.stream != 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        self.charge(Nuisance::Ping)?;
        if !head.has(flag::ACK) {
            self.output.frame(Kind::Ping, flag::ACK, 0, payload);
        } else if question == FAREWELL && self.leaving == Leaving::Asked {
            self.tell_leaving();
        }
        Ok(())
    }

    pub(super) fn priority(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let id = head.stream;
        if id == 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        self.charge(Nuisance::Ignored)?;
        let fault = match payload.try_into() {
            Ok(priority) => depends_on_itself(id, priority),
            Err(_) => Some(Fault::Stream(id, ErrorCode::FrameSize)),
        };
        fault.map_or(Ok(()), Err)
    }

    pub(super) fn go_away(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        if payload.len() < 8 {
            return Err(Fault::Connection(ErrorCode::FrameSize));
        }
        self.charge(Nuisance::Ignored)?;
        self.client_leaves = true;
        Ok(())
    }
}

fn exactly<const N: usize>(payload: &[u8]) -> Result<[u8; N], Fault> {
    let size = Fault::Connection(ErrorCode::FrameSize);
    payload.try_into().map_err(|_| size)
}

/// RFC 7540 5.3.1: no stream can depend on itself.
pub(super) fn depends_on_itself(id: u32, priority: &[u8; 5]) -> Option<Fault> {
    let [d1, d2, d3, d4, _] = *priority;
    (u31([d1, d2, d3, d4]) == id).then_some(Fault::Stream(id, ErrorCode::Protocol))
}
