use std::collections::HashSet;

use super::*;

const HOUR: u64 = 3600;

fn at(hours: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(hours * HOUR)
}

/// The keys of a switch that started so many hours from now.
fn started(hours: u64) -> Arc<TicketKeys> {
    let keys = TicketKeys {
        keys: RwLock::default(),
        version: AtomicU64::new(0),
    };
    keys.rotate(at(hours));
    Arc::new(keys)
}

fn tell(from: &TicketKeys, to: &TicketKeys, hours: u64) {
    to.adopt(&from.export(), at(hours)).expect("they are keys");
}

fn made(keys: &TicketKeys, hours: u64) -> Vec<u8> {
    keys.seal(b"chain", b"state", seconds(at(hours)))
        .expect("there is a key")
}

fn opens(keys: &TicketKeys, ticket: &[u8], hours: u64) -> bool {
    keys.open(b"chain", ticket, seconds(at(hours))).as_deref() == Some(b"state")
}

fn name_in_use(keys: &TicketKeys, hours: u64) -> Vec<u8> {
    made(keys, hours)[..16].to_vec()
}

#[test]
fn a_ticket_opens_where_the_keys_are_known_and_nowhere_else() {
    let (one, two) = (started(0), started(0));
    let ticket = made(&one, 0);
    assert!(opens(&one, &ticket, 0) && !opens(&two, &ticket, 0));
    tell(&one, &two, 0);
    assert!(opens(&two, &ticket, 0));
}

#[test]
fn one_that_has_just_started_goes_over_to_the_key_of_the_others() {
    let (old, new) = (started(0), started(5));
    tell(&new, &old, 5);
    tell(&old, &new, 5);
    assert_eq!(name_in_use(&old, 5), name_in_use(&new, 5));
    assert!(opens(&old, &made(&new, 5), 5));
}

#[test]
fn starting_over_and_over_takes_no_key_away_that_is_in_use() {
    let keys = started(0);
    let ticket = made(&keys, 0);
    for _ in 0..20 {
        tell(&started(1), &keys, 1);
        assert!(keys.export().len() <= MAX_KEYS);
    }
    assert_eq!(name_in_use(&keys, 1), ticket[..16]);
    assert!(opens(&keys, &ticket, 1));
}

#[test]
fn a_key_makes_tickets_for_half_a_day_and_opens_them_for_a_whole_one() {
    let keys = started(0);
    let first = made(&keys, 0);
    keys.rotate(at(11));
    assert_eq!(keys.version(), 1);
    keys.rotate(at(12));
    assert_eq!(keys.version(), 2);
    assert_ne!(name_in_use(&keys, 12), first[..16]);
    assert!(opens(&keys, &first, 23) && !opens(&keys, &first, 24));
    keys.rotate(at(24));
    assert_eq!(keys.export().len(), 2, "the second, and the third");
}

#[test]
fn a_key_that_is_over_does_not_come_back_from_another_switch() {
    let (one, two) = (started(0), started(0));
    tell(&one, &two, 0);
    let late = two.export();
    one.rotate(at(30));
    let before = one.export();
    one.adopt(&late, at(30)).expect("they are keys");
    assert_eq!(one.export(), before);
}

#[test]
fn a_key_from_a_clock_that_is_ahead_lives_no_longer_than_others() {
    let (ahead, behind) = (started(1000), started(0));
    tell(&ahead, &behind, 0);
    let ticket = made(&ahead, 1000);
    assert!(opens(&behind, &ticket, 1) && !opens(&behind, &ticket, 24));
}

#[test]
fn the_version_moves_with_the_keys_and_not_by_hearing_the_same_again() {
    let (one, two) = (started(0), started(0));
    let before = two.version();
    tell(&one, &two, 0);
    assert_eq!(two.version(), before + 1);
    tell(&one, &two, 0);
    tell(&two, &two, 0);
    assert_eq!(two.version(), before + 1);
}

#[test]
fn switches_that_tell_each_other_every_change_come_to_rest_with_the_same_keys() {
    // More keys than are held, of different ages, some about to be over.
    for hours in 0..40 {
        let all: Vec<_> = [0, 3, 9, 9, 14, 20].map(started).into();
        all.iter().for_each(|keys| keys.rotate(at(hours)));
        let mut told = vec![0; all.len()];
        let mut rounds = 0;
        while all
            .iter()
            .zip(&told)
            .any(|(keys, told)| keys.version() != *told)
        {
            rounds += 1;
            assert!(rounds < 20, "they never come to rest at {hours} hours");
            for from in 0..all.len() {
                told[from] = all[from].version();
                all.iter().for_each(|to| tell(&all[from], to, hours));
            }
        }
        let names: HashSet<_> = all.iter().map(|keys| name_in_use(keys, hours)).collect();
        assert_eq!(names.len(), 1, "at {hours} hours");
    }
}

#[test]
fn one_malformed_key_refuses_them_all() {
    let (one, two) = (started(0), started(0));
    let good = one.export().remove(0);
    let before = two.export();
    let cut = good[..good.len() - 4].to_owned();
    let no_base64 = good.replace(&good[..1], "!");
    for bad in [
        String::new(),
        cut,
        no_base64,
        format!("{good}AAAA"),
        "ä".repeat(38),
    ] {
        assert_eq!(two.adopt(&[good.clone(), bad], at(0)), Err(Malformed));
    }
    assert_eq!(two.adopt(&vec![good; 17], at(0)), Err(Malformed));
    assert_eq!(two.export(), before);
    assert_eq!(two.adopt(&[], at(0)), Ok(()));
}

#[test]
fn a_ticket_with_one_wrong_bit_or_a_part_missing_does_not_open() {
    let keys = started(0);
    let ticket = made(&keys, 0);
    for bit in 0..ticket.len() * 8 {
        let mut bad = ticket.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!opens(&keys, &bad, 0), "bit {bit}");
    }
    for length in 0..ticket.len() {
        assert!(!opens(&keys, &ticket[..length], 0), "{length} bytes");
    }
    assert!(opens(&keys, &ticket, 0));
}

#[test]
fn a_ticket_of_another_chain_does_not_open() {
    let keys = started(0);
    let chain = |parts: &[&'static [u8]]| keys.ticketer(parts.iter().copied());
    let ticket = chain(&[b"one", b"two"]).encrypt(b"state").expect("a key");
    assert!(chain(&[b"one", b"two"]).decrypt(&ticket).is_some());
    for other in [&[&b"one"[..]][..], &[b"onetwo"], &[b"two", b"one"], &[]] {
        assert!(chain(other).decrypt(&ticket).is_none());
    }
}

#[test]
fn what_is_printed_of_a_key_is_not_its_secret() {
    let keys = started(0);
    let encoded = keys.export().remove(0);
    let text = format!("{keys:?}");
    assert!(
        !text.contains(&encoded) && !text.contains("secret"),
        "{text}"
    );
}
