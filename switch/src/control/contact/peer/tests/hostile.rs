use proptest::collection::vec;
use proptest::prelude::*;

use super::super::secure::{Channel, Ends, psk};
use super::super::session::HANDSHAKE_LIMIT;
use super::*;
use crate::control::random::SplitMix;

fn random_bytes(random: &mut SplitMix, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.next_u64() as u8).collect()
}

/// Until the session has ended, within the handshake's time.
fn end(end: &mut End) -> Option<&'static str> {
    drive(&mut [end], |ends| ends[0].ended.is_some());
    end.word()
}

#[test]
fn another_secret_fails_on_both_sides_and_nothing_on_the_wire_says_why() {
    let (mut low, mut high) = pair(secret(), Some(psk("another")));
    drive(&mut [&mut low, &mut high], |ends| {
        ends.iter().all(|end| end.ended.is_some())
    });
    assert_eq!(low.word(), Some("unauthentic"));
    assert_eq!(high.word(), Some("unauthentic"));

    let (mut high, mut stranger) = visited(secret());
    let ends = Ends {
        initiator: LOW,
        responder: HIGH,
    };
    let (_, hail) = Channel::initiator(&psk("another"), &ends.prologue()).unwrap();
    say(&mut stranger, &hail);
    assert_eq!(end(&mut high), Some("unauthentic"));
    assert_eq!(all_of(&mut stranger), b"");
}

#[test]
fn one_side_with_a_secret_and_one_without_do_not_meet() {
    for (of_low, of_high) in [(secret(), None), (None, secret())] {
        let (mut low, mut high) = pair(of_low, of_high);
        drive(&mut [&mut low, &mut high], |ends| {
            ends.iter().all(|end| end.ended.is_some())
        });
        assert!(!low.is_open() && !high.is_open());
        assert!(low.heard.is_empty() && high.heard.is_empty());
    }
}

#[test]
fn garbage_of_any_length_before_the_handshake_opens_nothing() {
    let mut random = SplitMix::new(1);
    for length in (1..80).chain([1000, 65_537, 200_000]) {
        let garbage = random_bytes(&mut random, length);
        let (mut high, mut stranger) = visited(secret());
        say(&mut stranger, &garbage);
        drop(stranger);
        assert_eq!(end(&mut high), Some("unauthentic"), "{length}");
        assert!(high.heard.is_empty());
    }
}

#[test]
fn garbage_instead_of_an_answer_opens_nothing() {
    let mut random = SplitMix::new(2);
    for length in [1, 2, 49, 50, 51, 300] {
        let garbage = random_bytes(&mut random, length);
        let (mut low, mut stranger) = visiting(secret());
        say(&mut stranger, &garbage);
        turn(&mut [&mut low]);
        drop(stranger);
        assert_eq!(end(&mut low), Some("unauthentic"), "{length}");
    }
}

#[test]
fn a_stranger_who_sends_a_gigabyte_is_read_a_few_bytes_of_it() {
    let (mut high, mut stranger) = visited(secret());
    stranger.set_nonblocking(true).unwrap();
    let (garbage, mut sent) = (vec![0; 1 << 20], 0);
    while sent < 1 << 30 {
        match stranger.write(&garbage) {
            Ok(written) => sent += written,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                high.ready(Instant::now());
            }
            Err(_) => break,
        }
        assert!(high.ended.is_some() || sent < 64 << 20, "it goes on");
    }
    assert_eq!(high.word(), Some("unauthentic"));
}

#[test]
fn whoever_takes_his_time_with_the_handshake_has_three_seconds() {
    let (mut high, mut stranger) = visited(secret());
    let limit = high.session().deadline().unwrap();
    assert!(limit <= Instant::now() + HANDSHAKE_LIMIT);
    // 48 is the length.
    for byte in [0, 48, 1, 2, 3] {
        say(&mut stranger, &[byte]);
        turn(&mut [&mut high]);
        assert_eq!(high.word(), None);
    }
    high.ready(limit);
    assert_eq!(high.word(), Some("unauthentic"));
}

#[test]
fn who_sends_a_handshake_again_hears_nothing_that_he_can_read_and_says_nothing_that_counts() {
    let (mut low, mut stream) = visiting(secret());
    turn(&mut [&mut low]);
    let recorded = all_of(&mut stream);

    let (mut high, mut stranger) = visited(secret());
    say(&mut stranger, &recorded);
    for _ in 0..5 {
        turn(&mut [&mut high]);
    }
    assert!(!high.is_open());
    let answer = all_of(&mut stranger);
    let version = b"0.1.0";
    assert!(!answer.windows(5).any(|bytes| bytes == version));
    say(&mut stranger, &recorded);
    assert_eq!(end(&mut high), Some("unauthentic"));
}

#[test]
fn a_session_that_is_reflected_to_its_own_sender_ends() {
    let (mut low, mut stream) = visiting(secret());
    turn(&mut [&mut low]);
    let own = all_of(&mut stream);
    say(&mut stream, &own);
    assert_eq!(end(&mut low), Some("unauthentic"));

    let (mut low, mut stream) = visiting(None);
    turn(&mut [&mut low]);
    let own = all_of(&mut stream);
    say(&mut stream, &own);
    assert_eq!(end(&mut low), Some("protocol"));
}

/// The stranger's end of a session without a secret, with the Hello said.
fn acquainted() -> (End, TcpStream) {
    let (mut high, mut stranger) = visited(None);
    let first = Message::Hello(hello(1)).encode().unwrap();
    say(&mut stranger, &framed(&first));
    drive(&mut [&mut high], |ends| ends[0].is_open());
    (high, stranger)
}

#[test]
fn a_first_message_that_is_no_hello_and_a_second_hello_end_the_session() {
    let (mut high, mut stranger) = visited(None);
    say(&mut stranger, &framed(br#"{"type":"bye","successor":0}"#));
    assert_eq!(end(&mut high), Some("protocol"));
    let (mut high, mut stranger) = acquainted();
    let again = Message::Hello(hello(1)).encode().unwrap();
    say(&mut stranger, &framed(&again));
    assert_eq!(end(&mut high), Some("protocol"));
}

#[test]
fn whoever_has_not_said_hello_cannot_send_long_frames() {
    let (mut high, mut stranger) = visited(None);
    say(&mut stranger, &[0xea, 0x60]);
    assert_eq!(end(&mut high), Some("protocol"));
    let (mut high, mut stranger) = acquainted();
    say(&mut stranger, &[0xea, 0x60]);
    turn(&mut [&mut high]);
    assert_eq!(high.word(), None);
    let (mut high, mut stranger) = acquainted();
    say(&mut stranger, &[0xea, 0x61]);
    assert_eq!(end(&mut high), Some("protocol"));
}

#[test]
fn a_session_byte_by_byte_is_the_same_session() {
    let (mut high, mut stranger) = visited(None);
    let mut bytes = framed(&Message::Hello(hello(1)).encode().unwrap());
    bytes.extend(framed(br#"{"type":"unheard-of"}"#));
    let group = super::messages::group();
    let request = Message::Request { group };
    bytes.extend(framed(&request.encode().unwrap()));
    bytes.extend(framed(br#"{"type":"bye","successor":7}"#));
    for byte in bytes {
        say(&mut stranger, &[byte]);
        high.ready(Instant::now());
    }
    assert_eq!(end(&mut high), Some("bye"));
    assert_eq!(high.heard, [request]);
}

#[test]
fn garbage_within_a_session_ends_it() {
    let mut random = SplitMix::new(3);
    for length in (1..40).chain([500, 60_000]) {
        let (mut high, mut stranger) = acquainted();
        say(&mut stranger, &framed(&random_bytes(&mut random, length)));
        assert_eq!(end(&mut high), Some("protocol"), "{length}");
    }
}

#[test]
fn what_is_put_into_a_sealed_session_ends_it_as_not_authentic() {
    let (mut low, mut high) = open_pair(secret());
    // Behind the back of the session that is low.
    let socket = low.session();
    rustix::io::write(&*socket, &framed(&[9; 100])).unwrap();
    assert_eq!(end(&mut high), Some("unauthentic"));
}

#[test]
fn a_session_in_its_handshake_is_small() {
    assert!(size_of::<Session>() < 600, "{}", size_of::<Session>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_in_random_pieces_open_nothing(
        pieces in vec(vec(any::<u8>(), 1..60), 1..20),
        sealed in any::<bool>(),
    ) {
        let (mut high, mut stranger) = visited(secret().filter(|_| sealed));
        for piece in pieces {
            say(&mut stranger, &piece);
            high.ready(Instant::now());
        }
        drop(stranger);
        end(&mut high);
        prop_assert!(high.heard.is_empty());
        prop_assert_ne!(high.word(), Some("bye"));
    }
}
