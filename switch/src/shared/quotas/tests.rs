use std::collections::HashSet;

use super::*;

const RATE: Rate = Rate {
    count: 10,
    per: Duration::from_secs(1),
};

/// A listener `web` of this number.
fn quotas(id: u32) -> Quotas {
    let quotas = Quotas::default();
    let name = "web".to_owned();
    quotas.set_limited(vec![Limited {
        scope: Scope::Listener(id),
        name,
        pace: Pace::new(RATE, RATE.count),
    }]);
    quotas
}

fn client(number: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + number).to_be_bytes())
}

fn take(quotas: &Quotas, id: u32, client: IpAddr, rate: Rate, now: Instant) -> bool {
    let key = Key {
        scope: Scope::Listener(id),
        who: Who::client(client),
    };
    quotas.take(key, Pace::new(rate, rate.count), now).is_ok()
}

/// How many of so many attempts pass at once.
fn passing(quotas: &Quotas, id: u32, client: IpAddr, attempts: u32, now: Instant) -> usize {
    (0..attempts)
        .filter(|_| take(quotas, id, client, RATE, now))
        .count()
}

fn told(client: IpAddr, due: u32) -> Used {
    Used {
        of_route: false,
        name: "web".to_owned(),
        who: Who::Network(client),
        due,
    }
}

#[test]
fn a_burst_of_one_period_passes_and_then_the_rate_holds() {
    let (quotas, start) = (Quotas::default(), Instant::now());
    assert_eq!(passing(&quotas, 0, client(1), 50, start), 10);
    let steps = (1..=100).map(|n| start + Duration::from_millis(20) * n);
    let later = steps
        .filter(|now| take(&quotas, 0, client(1), RATE, *now))
        .count();
    assert_eq!(later, 20, "two seconds at ten per second");
}

#[test]
fn clients_and_listeners_do_not_share() {
    let (quotas, now) = (Quotas::default(), Instant::now());
    let once = Rate { count: 1, ..RATE };
    let (a, b) = (client(1), client(2));
    assert!(take(&quotas, 0, a, once, now));
    assert!(!take(&quotas, 0, a, once, now));
    assert!(take(&quotas, 0, b, once, now));
    assert!(take(&quotas, 1, a, once, now));
}

#[test]
fn addresses_of_one_ipv6_network_are_one_client() {
    let (quotas, now) = (Quotas::default(), Instant::now());
    let once = Rate { count: 1, ..RATE };
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(take(&quotas, 0, ip("2001:db8::1"), once, now));
    assert!(!take(&quotas, 0, ip("2001:db8::2"), once, now));
    assert!(take(&quotas, 0, ip("2001:db8:0:1::1"), once, now));
}

#[test]
fn a_burst_and_the_time_until_the_next_are_as_the_pace_says() {
    let (quotas, start) = (Quotas::default(), Instant::now());
    let pace = Pace::new(RATE, 3);
    let key = Key {
        scope: Scope::Route(0),
        who: Who::All,
    };
    for _ in 0..3 {
        assert_eq!(quotas.take(key, pace, start), Ok(()));
    }
    let wait = Duration::from_millis(100);
    assert_eq!(quotas.take(key, pace, start), Err(wait));
    assert_eq!(
        quotas.take(key, pace, start),
        Err(wait),
        "asking costs nothing"
    );
    assert_eq!(quotas.take(key, pace, start + wait), Ok(()));
    let other = Key {
        scope: Scope::Listener(0),
        ..key
    };
    assert_eq!(quotas.take(other, pace, start), Ok(()), "of something else");
}

#[test]
fn whoever_makes_up_names_drives_out_none_that_has_used_up_much() {
    let (quotas, now) = (Quotas::default(), Instant::now());
    let pace = Pace::new(RATE, 10);
    let named = |name: &str| Key {
        scope: Scope::Route(0),
        who: Who::named(name.as_bytes()),
    };
    while quotas.take(named("heavy"), pace, now).is_ok() {}
    for number in 0..100_000 {
        assert!(quotas.take(named(&number.to_string()), pace, now).is_ok());
    }
    assert!(quotas.take(named("heavy"), pace, now).is_err());
    let held = quotas.shards.iter().map(|shard| lock(shard).len());
    assert!(held.sum::<usize>() <= SHARDS * CLIENTS);
}

#[test]
fn what_a_client_has_used_up_here_is_used_up_there() {
    let (here, there, now) = (quotas(3), quotas(8), Instant::now());
    passing(&here, 3, client(1), 8, now);
    passing(&here, 3, client(2), 5, now);
    let used = here.export(now);
    assert_eq!(used, [told(client(1), 800)], "half and less is not told");
    there.merge(&used, now);
    there.merge(&used, now);
    assert_eq!(passing(&there, 8, client(1), 50, now), 2);
    assert_eq!(passing(&there, 8, client(2), 50, now), 10);
}

#[test]
fn what_was_used_up_of_a_route_is_used_up_there_by_whatever_name() {
    let pace = Pace::new(RATE, 4);
    let quotas = |id| {
        let quotas = Quotas::default();
        quotas.set_limited(vec![Limited {
            scope: Scope::Route(id),
            name: "api".to_owned(),
            pace,
        }]);
        quotas
    };
    let (here, there, now) = (quotas(1), quotas(2), Instant::now());
    for who in [Who::named(b"a key"), Who::All, Who::client(client(1))] {
        let key = |scope| Key { scope, who };
        while here.take(key(Scope::Route(1)), pace, now).is_ok() {}
        let told = serde_json::to_string(&here.export(now)).expect("it can be written");
        let told: Vec<Used> = serde_json::from_str(&told).expect("it can be read");
        there.merge(&told, now);
        assert!(
            there.take(key(Scope::Route(2)), pace, now).is_err(),
            "{who:?}"
        );
        let later = now + pace.interval;
        assert!(there.take(key(Scope::Route(2)), pace, later).is_ok());
    }
}

#[test]
fn what_is_heard_never_gives_back_what_was_used_up() {
    let (quotas, now) = (quotas(0), Instant::now());
    passing(&quotas, 0, client(1), 9, now);
    quotas.merge(&[told(client(1), 100), told(client(1), 0)], now);
    assert_eq!(passing(&quotas, 0, client(1), 50, now), 1);
}

#[test]
fn nobody_is_locked_out_for_longer_than_a_period_whatever_is_told() {
    let (quotas, now) = (quotas(0), Instant::now());
    quotas.merge(&[told(client(1), u32::MAX)], now);
    assert_eq!(passing(&quotas, 0, client(1), 50, now), 0);
    assert_eq!(passing(&quotas, 0, client(1), 50, now + RATE.per), 10);
}

#[test]
fn unknown_listeners_are_passed_over_and_mapped_addresses_understood() {
    let (quotas, now) = (quotas(0), Instant::now());
    let other = Used {
        name: "other".to_owned(),
        ..told(client(1), 1000)
    };
    let mapped = "::ffff:10.0.0.2".parse().unwrap();
    let route = Used {
        of_route: true,
        ..told(client(1), 1000)
    };
    quotas.merge(&[other, route, told(mapped, 1000)], now);
    assert_eq!(passing(&quotas, 0, client(1), 50, now), 10);
    assert_eq!(passing(&quotas, 0, client(2), 50, now), 0);
}

#[test]
fn every_client_gets_its_turn_and_none_twice_in_one_round() {
    let (quotas, now) = (quotas(0), Instant::now());
    for number in 0..10_000 {
        passing(&quotas, 0, client(number), 6, now);
    }
    let (mut seen, mut calls) = (HashSet::new(), 0);
    while seen.len() < 10_000 {
        let used = quotas.export(now);
        assert!(used.len() <= EXPORTED && used.len() > EXPORTED / 2);
        calls += 1;
        assert!(calls < 20, "{} after {calls} calls", seen.len());
        seen.extend(used.into_iter().map(|used| used.who));
    }
}

#[test]
fn what_is_told_of_strangers_takes_no_more_memory_than_clients_do() {
    let (quotas, now) = (quotas(0), Instant::now());
    let strangers: Vec<_> = (0..200_000).map(|n| told(client(n), 900)).collect();
    quotas.merge(&strangers, now);
    let held = || {
        quotas
            .shards
            .iter()
            .map(|shard| lock(shard).len())
            .sum::<usize>()
    };
    assert_eq!(held(), SHARDS * CLIENTS);
    // Their time over, they make room.
    passing(&quotas, 0, client(1 << 20), 1, now + RATE.per);
    assert!(held() < SHARDS * CLIENTS);
}

#[test]
fn a_listener_that_has_no_limit_any_more_is_told_of_no_more() {
    let (quotas, now) = (quotas(0), Instant::now());
    passing(&quotas, 0, client(1), 10, now);
    assert_eq!(quotas.export(now).len(), 1);
    quotas.set_limited(Vec::new());
    assert!(quotas.export(now).is_empty());
}
