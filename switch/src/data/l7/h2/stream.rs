//! What is kept of each stream, and of those that ended lately (RFC 9113 section 5.1).

use std::collections::{HashMap, VecDeque};

use super::flow::{Inlet, Outlet};
use crate::data::buffer::Buffer;

/// A stream's place among the open ones; it is used again once the stream is forgotten.
pub type Key = usize;

/// Bytes of a stream's window: what a client may send before the backend takes it.
pub const STREAM_WINDOW: u32 = 64 * 1024;
/// Places that are kept while nothing is under way.
pub const FEW: usize = 4;
/// Ended streams that are remembered.
const REMEMBERED: usize = 256;

/// What a stream's response waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// Nothing.
    #[default]
    No,
    /// The stream's own window.
    Stream,
    /// The connection's window, or room in its output.
    Connection,
}

/// One stream that an exchange is under way on.
#[derive(Debug)]
pub struct Stream {
    /// Its number.
    pub id: u32,
    /// Content that came and was not fetched yet.
    pub content: Buffer,
    /// Content that came and was not passed on yet, fetched or not.
    pub held: usize,
    /// Content that Content-Length still promises.
    pub expected: Option<u64>,
    /// What the client may send.
    pub inlet: Inlet,
    /// The request is complete.
    pub ended_in: bool,
    /// The request's trailer lines.
    pub trailers: Vec<u8>,
    /// What the client takes.
    pub outlet: Outlet,
    /// The response is complete.
    pub ended_out: bool,
    /// Where the last frame of the response stands in the output.
    pub last_frame: Option<u64>,
    /// What its response waits for.
    pub wait: Wait,
    /// It was reset, by whichever side: nothing is sent or taken any more.
    pub gone: bool,
    /// It is to be looked at.
    pub touched: bool,
}

impl Stream {
    /// A stream whose request's head came; `ended`: its request is complete. `outlet` is what the
    /// client takes.
    pub fn new(id: u32, ended: bool, expected: Option<u64>, outlet: i64) -> Self {
        Self {
            id,
            content: Buffer::new(),
            held: 0,
            expected,
            inlet: Inlet::new(STREAM_WINDOW),
            ended_in: ended,
            trailers: Vec::new(),
            outlet: Outlet::new(outlet),
            ended_out: false,
            last_frame: None,
            wait: Wait::No,
            gone: false,
            touched: false,
        }
    }
}

/// How a stream ended that is not open any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// This side reset it: the client may not have known when it sent more.
    Cut,
    /// The client knew.
    Closed,
    /// It was never opened, or long ago.
    Unknown,
}

/// The streams of a connection.
#[derive(Debug, Default)]
pub struct Streams {
    places: Vec<Option<Stream>>,
    free: Vec<Key>,
    open: HashMap<u32, Key, foldhash::fast::RandomState>,
    past: VecDeque<(u32, Past)>,
}

impl Streams {
    /// How many exchanges are under way.
    pub fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Where the stream of this number is, if it is open.
    pub fn find(&self, id: u32) -> Option<Key> {
        self.open.get(&id).copied()
    }

    /// How a stream ended that is not open.
    pub fn past(&self, id: u32) -> Past {
        let found = self.past.iter().rev().find(|(past, _)| *past == id);
        found.map_or(Past::Unknown, |(_, how)| *how)
    }

    /// The stream at this place.
    pub fn get(&mut self, key: Key) -> Option<&mut Stream> {
        self.places.get_mut(key)?.as_mut()
    }

    /// Takes in a new stream.
    pub fn open(&mut self, stream: Stream) -> Key {
        let id = stream.id;
        let key = match self.free.pop() {
            Some(key) => key,
            None => {
                self.places.push(None);
                self.places.len() - 1
            }
        };
        self.places[key] = Some(stream);
        self.open.insert(id, key);
        key
    }

    /// The number means this stream no longer.
    pub fn close(&mut self, id: u32, how: Past) {
        self.open.remove(&id);
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((id, how));
    }

    /// Gives the place free once the exchange is over.
    pub fn forget(&mut self, key: Key) -> Option<Stream> {
        let stream = self.places.get_mut(key)?.take()?;
        self.free.push(key);
        Some(stream)
    }

    /// Gives memory back when nothing is under way.
    pub fn rest(&mut self) {
        if self.count() == 0 && self.places.len() > FEW {
            self.places = Vec::new();
            self.free = Vec::new();
            self.open.shrink_to_fit();
        }
    }

    /// The places of all exchanges that are under way.
    pub fn keys(&self) -> impl Iterator<Item = Key> + use<'_> {
        let taken = self.places.iter().enumerate();
        taken.filter_map(|(key, place)| place.as_ref().map(|_| key))
    }
}
