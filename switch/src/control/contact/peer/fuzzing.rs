//! What the fuzzer of `fuzz/` and the tests over its corpus drive: bytes of a peer, or of a stranger
//! who passes himself off as one, go where they are met first. Not part of the interface; compiled
//! for tests and with the feature `fuzzing` alone.

use std::net::{IpAddr, Ipv4Addr};

use super::heartbeat::{Heartbeat, HeartbeatKey, MAX_HEARTBEAT};
use super::message::{Hello, Message};
use super::secure::{Ends, psk};
use super::talk::{Step, Talk};

const ENDS: Ends = Ends {
    initiator: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)),
    responder: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)),
};
/// 32 zeros.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The first byte says what the others are.
pub fn peer(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'm', rest)) => message(rest),
        Some((b'p', rest)) => plain_session(rest),
        Some((b'w' | b'o', rest)) => stranger(rest, bytes[0] == b'o'),
        Some((b'h', rest)) => heartbeat(rest),
        Some((b's', rest)) => signed_heartbeat(rest),
        _ => {}
    }
}

/// A message is refused, or the same when it is sent on.
fn message(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else {
        return;
    };
    match message.encode() {
        Ok(again) => assert_eq!(Message::decode(&again), Ok(message)),
        // There are shorter ways to write it than ours.
        Err(what) => assert_eq!(what, "a message is too long"),
    }
}

/// A session without a secret hears the same however the bytes are cut.
fn plain_session(bytes: &[u8]) {
    let talk = || Talk::responder(None, ENDS, &hello()).expect("both ends are loopback");
    let whole = heard(talk(), bytes, usize::MAX);
    for cut in [1, 7] {
        let cut_up = heard(talk(), bytes, cut);
        assert_eq!(cut_up, whole, "in pieces of {cut}");
    }
}

/// Whoever does not know the secret comes nowhere.
fn stranger(bytes: &[u8], opened_here: bool) {
    let psk = psk("nobody knows it");
    let open = match opened_here {
        true => Talk::initiator,
        false => Talk::responder,
    };
    for cut in [1, usize::MAX] {
        let talk = open(Some(&psk), ENDS, &hello()).expect("there is a secret");
        let (messages, end) = heard(talk, bytes, cut);
        assert!(messages.is_empty());
        let ended = end.as_deref() == Some("unauthentic");
        assert!(ended || bytes.len() < 50, "{end:?}");
    }
}

/// What is heard, and the word for the end.
fn heard(mut talk: Talk, bytes: &[u8], cut: usize) -> (Vec<Message>, Option<String>) {
    let (mut messages, mut rest) = (vec![], bytes);
    loop {
        match talk.next() {
            Ok(Step::Heard(message)) => messages.push(message),
            Ok(Step::Silent) => {}
            Ok(Step::Idle) if rest.is_empty() => return (messages, None),
            Ok(Step::Idle) => {
                assert!(!talk.is_ready());
                let (piece, after) = rest.split_at(rest.len().min(cut).min(talk.room()));
                assert!(!piece.is_empty(), "it is idle, and takes nothing");
                talk.take(piece);
                rest = after;
            }
            Err(ended) => return (messages, Some(ended.word().to_owned())),
        }
    }
}

/// Nobody makes one up without the key.
fn heartbeat(bytes: &[u8]) {
    let key = HeartbeatKey::random().expect("there are random numbers");
    assert!(Heartbeat::decode(bytes, &key, 0).is_err());
    Heartbeat::claims(bytes);
}

/// One of a sender with the key is refused, or the same when it is sent on.
fn signed_heartbeat(bytes: &[u8]) {
    let key = HeartbeatKey::from_base64(KEY).expect("it is 32 bytes");
    let mut signed = bytes.to_vec();
    signed.extend(key.mac(bytes));
    let Ok(heartbeat) = Heartbeat::decode(&signed, &key, 0) else {
        return;
    };
    assert!(signed.len() <= MAX_HEARTBEAT);
    let mut again = vec![];
    heartbeat.encode(&key, &mut again);
    assert_eq!(Heartbeat::decode(&again, &key, 0), Ok(heartbeat));
}

fn hello() -> Hello {
    Hello {
        version: "1".to_owned(),
        node: 1,
        heartbeat_key: KEY.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn seeds() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/peer");
        let entries = std::fs::read_dir(folder).expect("the corpus is there");
        let mut seeds: Vec<_> = entries
            .map(|entry| entry.expect("it is readable").path())
            .map(|path| {
                let name = path.file_name().expect("a file").to_string_lossy();
                (name.into_owned(), std::fs::read(&path).expect("readable"))
            })
            .collect();
        seeds.sort();
        assert!(seeds.len() >= 20, "the corpus is too small");
        seeds
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "shown when the test fails alone")]
    fn no_peer_of_the_corpus_does_harm() {
        for (name, bytes) in seeds() {
            println!("{name}");
            peer(&bytes);
        }
    }

    #[test]
    fn seeds_that_are_named_taken_are_and_those_named_refused_are_not() {
        for (name, bytes) in seeds() {
            let taken = match bytes[0] {
                b'm' => Message::decode(&bytes[1..]).is_ok(),
                b'p' => {
                    let talk = Talk::responder(None, ENDS, &hello()).unwrap();
                    let (_, end) = heard(talk, &bytes[1..], usize::MAX);
                    end.is_none_or(|word| word == "bye")
                }
                _ => continue,
            };
            let expected = !name.contains("refused");
            assert_eq!(taken, expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_change_of_a_seed_does_harm(
            seed in any::<Index>(),
            changes in vec((any::<Index>(), any::<u8>(), 0..3), 1..6),
        ) {
            let seeds = seeds();
            let mut bytes = seed.get(&seeds).1.clone();
            for (at, byte, how) in changes {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ if bytes.len() > 1 => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            peer(&bytes);
        }

        #[test]
        fn no_bytes_at_all_do_harm(
            kind in prop::sample::select(b"mpwohs".to_vec()),
            bytes in vec(any::<u8>(), 0..300),
        ) {
            peer(&[&[kind][..], &bytes].concat());
        }
    }
}
