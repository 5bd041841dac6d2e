//! What the fuzzer of `fuzz/` and the tests over its corpus drive: bytes of an agent or a switch, or of
//! a stranger who passes himself off as one, go where they are met first. Not part of the interface;
//! compiled for tests and with the feature `fuzzing` alone.

use std::time::Instant;

use super::channel::{Channel, HANDSHAKE};
use super::frame::Inbox;
use super::message::{MAX_MESSAGE, Message, ToAgent, ToSwitch};
use super::talk::{AgentTalk, PROLOGUE, SwitchTalk, Talk, key};

const SECRET: &str = "nobody knows it";

/// The first byte says what the others are.
pub fn agent(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'r', rest)) => message::<ToSwitch>(rest),
        Some((b'a', rest)) => message::<ToAgent>(rest),
        Some((b's', rest)) => session(rest),
        Some((b'w', rest)) => stranger(|| SwitchTalk::waiter(&key(SECRET)), rest),
        Some((b'o', rest)) => stranger(opener, rest),
        _ => {}
    }
}

fn opener() -> AgentTalk {
    AgentTalk::opener(&key(SECRET)).expect("there are random numbers")
}

/// A message is refused, or the same when it is sent on.
fn message<M: Message + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else {
        return;
    };
    match message.encode() {
        Ok(again) => assert_eq!(M::decode(&again), Ok(message)),
        // There are shorter ways to write it than ours.
        Err(what) => assert_eq!(what, "a message is too long"),
    }
}

/// Who knows the secret is heard the same however his bytes are cut, and seldom enough.
fn session(bytes: &[u8]) {
    let whole = heard_of_an_agent(bytes, usize::MAX);
    assert!(whole.0.len() <= 50, "it is listened to for too long");
    for cut in [1, 7] {
        assert_eq!(heard_of_an_agent(bytes, cut), whole, "in pieces of {cut}");
    }
}

/// Frames as an agent would seal them: what a switch hears of them, and the word for the end.
fn heard_of_an_agent(bytes: &[u8], cut: usize) -> (Vec<ToSwitch>, Option<String>) {
    let (mut agent, hail) =
        Channel::initiator(&key(SECRET), PROLOGUE).expect("there are random numbers");
    let (mut switch, now) = (SwitchTalk::waiter(&key(SECRET)), Instant::now());
    switch.take(&hail);
    assert!(matches!(switch.next(now), Ok(None)));
    let answer = switch.outgoing().to_vec();
    agent
        .shake(&answer[2..], &mut vec![])
        .expect("both know the secret");
    let (mut inbox, mut sealed) = (Inbox::default(), vec![]);
    inbox.push(bytes);
    while let Ok(Some(frame)) = inbox.frame(MAX_MESSAGE) {
        agent
            .seal(frame, &mut sealed)
            .expect("few messages are sealed");
    }
    heard(&mut switch, &sealed, cut, now)
}

/// Whoever does not know the secret comes nowhere.
fn stranger<S: Message, H: Message>(talk: impl Fn() -> Talk<S, H>, bytes: &[u8]) {
    for cut in [1, usize::MAX] {
        let (heard, end) = heard(&mut talk(), bytes, cut, Instant::now());
        assert!(heard.is_empty());
        let ended = end.as_deref() == Some("unauthentic");
        assert!(ended || bytes.len() < HANDSHAKE + 2, "{end:?}");
    }
}

/// What is heard, and the word for the end.
fn heard<S: Message, H: Message>(
    talk: &mut Talk<S, H>,
    bytes: &[u8],
    cut: usize,
    now: Instant,
) -> (Vec<H>, Option<String>) {
    let (mut messages, mut rest) = (vec![], bytes);
    loop {
        match talk.next(now) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) if rest.is_empty() => return (messages, None),
            Ok(None) => {
                let (piece, after) = rest.split_at(rest.len().min(cut).min(talk.room()));
                assert!(!piece.is_empty(), "it hears nothing, and takes nothing");
                talk.take(piece);
                rest = after;
            }
            Err(ended) => return (messages, Some(ended.word().to_owned())),
        }
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
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/agent");
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
    fn no_agent_of_the_corpus_does_harm() {
        for (name, bytes) in seeds() {
            println!("{name}");
            agent(&bytes);
        }
    }

    #[test]
    fn seeds_that_are_named_taken_are_and_those_named_refused_are_not() {
        for (name, bytes) in seeds() {
            let taken = match bytes[0] {
                b'r' => ToSwitch::decode(&bytes[1..]).is_ok(),
                b'a' => ToAgent::decode(&bytes[1..]).is_ok(),
                b's' => heard_of_an_agent(&bytes[1..], usize::MAX).1.is_none(),
                _ => continue,
            };
            assert_eq!(taken, !name.contains("refused"), "{name}");
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
            agent(&bytes);
        }

        #[test]
        fn no_bytes_at_all_do_harm(
            kind in prop::sample::select(b"raswo".to_vec()),
            bytes in vec(any::<u8>(), 0..300),
        ) {
            agent(&[&[kind][..], &bytes].concat());
        }
    }
}
