use super::*;

const HEARTBEAT: Duration = Duration::from_millis(5);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Three misses of 5 ms, and one heartbeat heard at the instant returned.
fn heard() -> (Watch, Instant) {
    let (mut watch, start) = (Watch::new(HEARTBEAT, 3), Instant::now());
    watch.heard(start);
    (watch, start)
}

#[test]
fn a_peer_that_was_never_heard_is_not_dead() {
    let mut watch = Watch::new(HEARTBEAT, 3);
    assert_eq!(watch.deadline(), None);
    assert!(!watch.is_dead(Instant::now() + ms(100_000)));
}

#[test]
fn as_many_misses_as_were_asked_for_are_a_death_and_one_less_is_not() {
    let (mut watch, start) = heard();
    assert_eq!(watch.deadline(), Some(start + ms(16)));
    assert!(!watch.is_dead(start + ms(15)));
    assert!(watch.is_dead(start + ms(16)));
}

#[test]
fn a_dead_peer_wants_no_further_look_and_lives_again_when_it_is_heard() {
    let (mut watch, start) = heard();
    assert!(watch.is_dead(start + ms(20)));
    assert_eq!(watch.deadline(), None);
    assert!(watch.is_dead(start + ms(21)));
    watch.heard(start + ms(30));
    assert!(!watch.is_dead(start + ms(30)));
    assert_eq!(watch.deadline(), Some(start + ms(46)));
}

#[test]
fn after_the_session_has_ended_one_miss_is_enough() {
    let (mut watch, start) = heard();
    watch.session_ended(start + ms(2));
    assert!(!watch.is_dead(start + ms(5)));
    assert!(watch.is_dead(start + ms(6)));
}

#[test]
fn without_any_heartbeat_the_end_of_the_session_is_enough() {
    let (mut watch, start) = (Watch::new(HEARTBEAT, 3), Instant::now());
    watch.session_ended(start);
    assert!(watch.is_dead(start));
}

#[test]
fn a_heartbeat_that_was_on_its_way_does_not_refute_the_death_and_a_steady_beat_does() {
    let (mut watch, start) = heard();
    watch.session_ended(start + ms(1));
    watch.heard(start + ms(2));
    assert!(watch.is_dead(start + ms(8)));
    let (mut watch, start) = heard();
    watch.session_ended(start + ms(1));
    for at in [5, 10, 15, 20] {
        watch.heard(start + ms(at));
        assert!(!watch.is_dead(start + ms(at + 5)), "{at}");
    }
    assert!(!watch.is_dead(start + ms(35)));
    assert!(watch.is_dead(start + ms(36)));
}

#[test]
fn a_new_session_takes_back_all_doubt() {
    let (mut watch, start) = heard();
    watch.session_ended(start);
    watch.session_opened();
    assert!(!watch.is_dead(start + ms(1000)));
    watch.heard(start + ms(1000));
    assert!(!watch.is_dead(start + ms(1015)));
    assert!(watch.is_dead(start + ms(1016)));
}

#[test]
fn silence_while_we_did_not_run_does_not_count() {
    let (mut watch, start) = heard();
    watch.looked(start + ms(65), ms(60));
    assert!(!watch.is_dead(start + ms(65)));
    assert_eq!(watch.deadline(), Some(start + ms(76)));
    assert!(watch.is_dead(start + ms(76)));
    watch.heard(start + ms(80));
    assert_eq!(watch.deadline(), Some(start + ms(96)));
}

#[test]
fn lateness_of_before_the_last_heartbeat_excuses_nothing() {
    let (mut watch, start) = heard();
    watch.heard(start + ms(50));
    watch.looked(start + ms(50), ms(45));
    assert_eq!(watch.deadline(), Some(start + ms(66)));
    watch.looked(start + ms(52), Duration::MAX);
    assert_eq!(watch.deadline(), Some(start + ms(68)));
}

#[test]
fn a_loop_that_is_always_late_finds_the_death_all_the_same() {
    let (mut watch, start) = heard();
    let (late, mut now) = (Duration::from_micros(300), start);
    for turn in 1.. {
        let wanted = watch.deadline().unwrap().min(now + ms(1));
        now = wanted + late;
        watch.looked(now, late);
        if watch.is_dead(now) {
            break;
        }
        assert!(turn < 100);
    }
    assert!(now < start + ms(24), "{:?}", now - start);
}

#[test]
fn whoever_has_left_in_order_is_not_dead_before_the_successor_is_given_up() {
    let (mut watch, start) = heard();
    watch.suspend(start + ms(500));
    watch.session_ended(start + ms(1));
    assert!(!watch.is_dead(start + ms(499)));
    assert_eq!(watch.deadline(), Some(start + ms(500)));
    assert!(watch.is_dead(start + ms(500)));
}

#[test]
fn a_successor_is_watched_like_anybody() {
    let (mut watch, start) = heard();
    watch.suspend(start + ms(500));
    watch.session_opened();
    watch.heard(start + ms(100));
    assert!(watch.is_dead(start + ms(116)));
}

#[test]
fn a_peer_whose_system_answers_is_late_and_not_dead() {
    let start = Instant::now();
    let mut watch = Watch::new(ms(5), 3);
    watch.heard(start);
    assert!(!watch.asks(start + ms(10)));
    assert!(watch.asks(start + ms(11)), "the second one is missing");
    assert!(!watch.asks(start + ms(12)), "it has just been asked");
    watch.answered(start + ms(11));
    assert!(!watch.is_dead(start + ms(16)));
    assert!(watch.asks(start + ms(16)));
    watch.answered(start + ms(16));
    assert!(!watch.is_dead(start + ms(21)));
    assert!(watch.is_dead(start + ms(22)), "no further answer has come");
}

#[test]
fn an_answer_counts_for_longer_when_we_were_late_to_ask_again() {
    let (mut watch, start) = heard();
    assert!(watch.asks(start + ms(11)));
    watch.answered(start + ms(11));
    assert!(watch.asks(start + ms(16)));
    watch.answered(start + ms(16));
    let late = start + ms(21) + Duration::from_micros(2700);
    watch.looked(late, Duration::from_micros(2700));
    assert!(watch.asks(late));
    assert!(
        !watch.is_dead(late),
        "its system has not been asked in time"
    );
    assert!(watch.is_dead(late + ms(6)));
}

#[test]
fn a_system_that_answers_for_a_process_that_does_not_is_believed_for_a_while() {
    let start = Instant::now();
    let mut watch = Watch::new(ms(5), 3);
    watch.heard(start);
    let mut at = 11;
    while !watch.is_dead(start + ms(at)) {
        watch.answered(start + ms(at));
        at += 1;
    }
    assert_eq!(at, 160);
    watch.heard(start + ms(200));
    assert!(!watch.is_dead(start + ms(215)));
    assert!(
        watch.is_dead(start + ms(216)),
        "an answer of before does not count"
    );
}

#[test]
fn the_end_of_a_session_counts_whatever_the_system_answers() {
    let start = Instant::now();
    let mut watch = Watch::new(ms(5), 3);
    watch.heard(start);
    watch.session_ended(start + ms(1));
    watch.answered(start + ms(5));
    assert!(watch.is_dead(start + ms(6)));
}
