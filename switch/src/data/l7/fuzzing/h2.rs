//! HTTP/2: what comes in by frames goes up as plainly as what comes in by lines.

use super::chunked::Decoded;
use super::{request, scene};
use crate::data::buffer::Buffer;
use crate::data::l7::PREFACE;
use crate::data::l7::client::Outgoing;
use crate::data::l7::h2::{Arrival, Body, Connection, Draft, Key, Limits, Sent};
use crate::data::l7::head::{Framing, RequestHead};

/// Bytes of a frame with its head at most: more of the input is never left lying.
const FRAME: usize = 9 + 16 * 1024;
const LIMITS: Limits = Limits {
    streams: 10,
    head: 16 * 1024,
    fields: 100,
};

/// A list of fields, `name 0x1f value` each, 0x1e between them. The first byte tells whether the
/// request ends with them.
pub fn h2_downgrade(bytes: &[u8]) {
    let Some((first, list)) = bytes.split_first() else {
        return;
    };
    let mut draft = Draft::default();
    draft.begin(LIMITS.head, LIMITS.fields);
    for field in list.split(|byte| *byte == 0x1e) {
        let mut parts = field.splitn(2, |byte| *byte == 0x1f);
        draft.field(
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
    }
    if let Ok(head) = draft.finish(first & 1 == 1) {
        goes_up(&head);
    }
}

/// With a body that fits its framing.
fn goes_up(head: &RequestHead) {
    let (length, end) = match head.framing {
        Framing::None => (0, Some(0)),
        Framing::Length(n) if n > 10_000 => (0, None),
        Framing::Length(n) => (n as usize, Some(0)),
        Framing::Chunked => (5, Some(0)),
        Framing::Close => panic!("a request ends with its connection"),
    };
    let content = Decoded {
        content: vec![b'x'; length],
        trailers: Vec::new(),
        end,
    };
    scene::with(|scene| request::goes_up(scene, head, &content));
}

/// Frames behind the preface.
pub fn h2_connection(bytes: &[u8]) {
    let whole = Game::play(bytes, bytes.len().max(1), true);
    assert_eq!(whole, Game::play(bytes, 1 + bytes.len() % 40, true));
    Game::play(bytes, 1 + bytes.len() % 400, false);
}

/// A connection, and what is done about the requests on it.
struct Game {
    machine: Connection,
    /// Answers each request as soon as it arrives; otherwise when its body has come.
    eager: bool,
    heads: Vec<Vec<u8>>,
}

impl Game {
    /// Gives the heads of the requests that arrived.
    fn play(bytes: &[u8], step: usize, eager: bool) -> Vec<Vec<u8>> {
        let mut game = Self {
            machine: Connection::new(LIMITS),
            eager,
            heads: Vec::new(),
        };
        let mut input = Buffer::new();
        input.extend(PREFACE);
        game.feed(&mut input);
        for part in bytes.chunks(step) {
            input.extend(part);
            game.feed(&mut input);
            game.touched();
            game.drain();
            assert!(game.machine.count() <= LIMITS.streams as usize);
            assert!(input.len() < FRAME, "{} bytes are left lying", input.len());
        }
        game.machine.lose_all();
        game.touched();
        game.drain();
        assert_eq!(
            game.machine.count(),
            0,
            "exchanges outlive their connection"
        );
        game.heads
    }

    fn feed(&mut self, input: &mut Buffer) {
        loop {
            let (n, arrival) = self.machine.receive(input.filled(), 0);
            assert!(n <= input.len());
            input.consume(n);
            match arrival {
                Some(arrival) => self.arrived(arrival),
                None if self.machine.is_full() => self.drain(),
                None => return,
            }
        }
    }

    fn drain(&mut self) {
        let waiting = self.machine.output().len();
        assert!(waiting < 1 << 20, "{waiting} bytes of output");
        self.machine.wrote(waiting);
        self.machine.rest();
    }

    fn arrived(&mut self, Arrival { key, head }: Arrival) {
        match head {
            Ok(head) => {
                goes_up(&head);
                self.heads.push(head.bytes.filled().to_vec());
                if self.eager {
                    self.answer(key);
                }
            }
            Err(_) => self.answer(key),
        }
    }

    fn answer(&mut self, key: Key) {
        let head = Outgoing {
            status: 200,
            phrase: b"",
            fields: &[(b"Server", b"x"), (b"X-Y", b"z")],
            framing: Framing::Chunked,
            content_length: None,
            close: false,
        };
        if self.machine.respond(key, &head, false) {
            let sent = self.machine.send(key, &[b'y'; 2000], None);
            assert!(!matches!(sent, Sent::Taken(n) if n > 2000));
            self.machine.end(key, b"x-sum: 1\r\n");
        }
        self.machine.finish(key);
    }

    fn touched(&mut self) {
        while let Some(key) = self.machine.next_touched() {
            let mut content = Buffer::new();
            match self.machine.body(key, &mut content) {
                Body::Content => {
                    let n = content.len();
                    self.machine.took(key, n);
                }
                Body::Wait => (),
                Body::End(_) => self.answer(key),
                Body::Gone => self.machine.finish(key),
            }
        }
    }
}
