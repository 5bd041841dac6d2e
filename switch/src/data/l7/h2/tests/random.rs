//! Random clients: whatever they send, the machine keeps its bounds.

use proptest::prelude::*;

use super::super::connection::{Body, CONNECTION_WINDOW, FULL, Sent};
use super::*;
use crate::data::buffer::Buffer;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Data),
        4 => Just(Kind::Headers),
        1 => Just(Kind::Priority),
        2 => Just(Kind::ResetStream),
        1 => Just(Kind::Settings),
        1 => Just(Kind::Ping),
        2 => Just(Kind::WindowUpdate),
        1 => Just(Kind::Continuation),
        1 => Just(Kind::Unknown),
    ]
}

fn payload(kind: Kind) -> BoxedStrategy<Vec<u8>> {
    let settings = (0u16..8, prop_oneof![0u32..100, any::<u32>()])
        .prop_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    match kind {
        Kind::Headers => prop_oneof![
            6 => Just(block(&FIELDS)),
            1 => Just(block(&[("x-trailer", "1")])),
            1 => proptest::collection::vec(any::<u8>(), 0..40),
        ]
        .boxed(),
        Kind::Settings => settings.boxed(),
        Kind::ResetStream => Just(vec![0, 0, 0, 8]).boxed(),
        Kind::WindowUpdate => (0u32..100_000)
            .prop_map(|n| n.to_be_bytes().to_vec())
            .boxed(),
        Kind::Ping => Just(vec![0; 8]).boxed(),
        Kind::Data => (0usize..3000).prop_map(|n| vec![7; n]).boxed(),
        _ => proptest::collection::vec(any::<u8>(), 0..8).boxed(),
    }
}

#[derive(Debug, Clone)]
enum Act {
    Frame(Kind, u8, u32, Vec<u8>),
    Bytes(Vec<u8>),
    Read(usize),
    Serve(usize, u8),
    Wait(u64),
    Leave(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let frame = kind().prop_flat_map(|kind| {
        let flags = prop_oneof![Just(flag::END_HEADERS), Just(5u8), any::<u8>()];
        (Just(kind), flags, 0u32..40, payload(kind))
    });
    prop_oneof![
        12 => frame.prop_map(|(kind, flags, id, payload)| Act::Frame(kind, flags, id, payload)),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Act::Bytes),
        3 => (0usize..100_000).prop_map(Act::Read),
        8 => (0usize..12, 0u8..8).prop_map(|(key, what)| Act::Serve(key, what)),
        1 => (0u64..2000).prop_map(Act::Wait),
        1 => any::<bool>().prop_map(Act::Leave),
    ]
}

/// An exchange does something that exchanges do.
fn serve(peer: &mut Peer, open: &mut Vec<Key>, at: usize, what: u8) {
    let Some(key) = open.get(at).copied() else {
        return;
    };
    let mut content = Buffer::new();
    match what {
        0 => drop(peer.respond(key, 200, None, false)),
        1 => drop(peer.respond(key, 200, None, true)),
        2 | 3 => {
            if let Body::Content = peer.machine.body(key, &mut content) {
                peer.machine.took(key, content.len());
            }
        }
        4 | 5 => drop(peer.machine.send(key, &[1; 5000], None)),
        6 => drop(peer.machine.end(key, b"a: b\r\n")),
        _ => {
            peer.machine.finish(key);
            open.remove(at);
        }
    }
}

fn step(peer: &mut Peer, open: &mut Vec<Key>, act: Act) {
    match act {
        Act::Frame(kind, flags, id, payload) => peer.frame(kind, flags, id, &payload),
        Act::Bytes(bytes) => peer.send(&bytes),
        Act::Read(n) => {
            let n = n.min(peer.machine.output().len());
            peer.machine.wrote(n);
            peer.send(&[]);
        }
        Act::Serve(at, what) => serve(peer, open, at, what),
        Act::Wait(millis) => peer.now += millis,
        Act::Leave(true) => peer.machine.ask_to_leave(),
        Act::Leave(false) => peer.machine.tell_leaving(),
    }
    open.extend(peer.arrivals.drain(..).map(|arrival| arrival.key));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_row_of_frames_breaks_the_bounds(acts in proptest::collection::vec(act(), 0..200)) {
        let mut peer = Peer::new();
        let mut open = Vec::new();
        for act in acts {
            step(&mut peer, &mut open, act);
            prop_assert_eq!(peer.machine.count(), open.len());
            prop_assert!(open.len() <= 10);
            // One exchange's step may go beyond, by a head or a frame.
            prop_assert!(peer.machine.output().len() < FULL + 20_000);
            while peer.machine.next_touched().is_some() {}
        }
        let mut held = 0;
        for key in open {
            let mut content = Buffer::new();
            if let Body::Content = peer.machine.body(key, &mut content) {
                held += content.len();
            }
            peer.machine.finish(key);
        }
        prop_assert!(held <= CONNECTION_WINDOW as usize);
        prop_assert_eq!(peer.machine.count(), 0);
    }

    #[test]
    fn random_bytes_do_no_harm(parts in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
        let mut peer = Peer::new();
        for part in parts {
            peer.send(&part);
            prop_assert!(peer.unread.len() <= 16_384 + HEAD || peer.machine.is_full());
        }
    }

    #[test]
    fn what_is_sent_is_always_whole_frames(
        sizes in proptest::collection::vec(1usize..40_000, 1..20),
        takes in proptest::collection::vec(1usize..100_000, 1..200),
    ) {
        let mut peer = Peer::with_settings(&[(4, 0x7fff_ffff)]);
        peer.frame(Kind::WindowUpdate, 0, 0, &[0x7f, 0, 0, 0]);
        peer.read();
        let key = peer.get(1);
        peer.respond(key, 200, None, false);
        let (mut all, mut total) = (Vec::new(), 0);
        let mut takes = takes.into_iter().cycle();
        for size in sizes {
            let mut left = &vec![9; size][..];
            while !left.is_empty() {
                match peer.machine.send(key, left, None) {
                    Sent::Taken(n) => left = &left[n..],
                    Sent::Wait => {
                        let output = peer.machine.output();
                        let n = takes.next().unwrap().min(output.len());
                        all.extend_from_slice(&output[..n]);
                        peer.machine.wrote(n);
                    }
                    Sent::Gone => prop_assert!(false, "it is not gone"),
                }
            }
            total += size;
        }
        peer.machine.end(key, &[]);
        all.extend_from_slice(peer.machine.output());
        let got = frames(&all);
        let content = got.iter().filter(|got| got.kind == Kind::Data);
        prop_assert_eq!(content.map(|got| got.payload.len()).sum::<usize>(), total);
        prop_assert!(got.last().unwrap().flags & flag::END_STREAM != 0);
    }
}
