use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy::Secret;
use proptest::prelude::*;

use super::*;
use crate::endpoint::Endpoint;

const NOW: u32 = 1_800_000_000;

fn spec(ttl: Option<u64>) -> policy::Sticky {
    policy::Sticky {
        cookie: "SRV".into(),
        ttl: ttl.map(Duration::from_secs),
        path: "/".into(),
        domain: None,
        secure: None,
        same_site: SameSite::Lax,
        http_only: true,
        key: StickyKey::Given(Secret::new("the key of a test")),
    }
}

/// Candidates at 10.0.0.N, their ids counted from 100.
fn candidates(hosts: &[u8]) -> Vec<Candidate> {
    let candidate = |(id, host): (u32, &u8)| Candidate {
        endpoint: Arc::new(Endpoint::new(
            id,
            "app".into(),
            format!("secret-name-{host}"),
            Address::Tcp(([10, 0, 0, *host], 80).into()),
        )),
        weight: 1,
    };
    (100..).zip(hosts).map(candidate).collect()
}

fn value(cookie: &str) -> Vec<u8> {
    let (pair, _) = cookie.split_once(';').expect("attributes");
    let (name, value) = pair.split_once('=').expect("a pair");
    assert_eq!(name, "SRV");
    value.as_bytes().to_vec()
}

fn made(sticky: &Sticky, endpoint: EndpointId, before: &[u8]) -> Vec<u8> {
    let before = std::iter::once(before);
    value(
        &sticky
            .set_cookie(endpoint, before, false, NOW)
            .expect("a candidate"),
    )
}

fn found(sticky: &Sticky, value: &[u8]) -> Option<Home> {
    sticky.home(std::iter::once(value), NOW)
}

#[test]
fn a_cookie_leads_back_wherever_the_backend_stands_in_the_list() {
    let before = Sticky::build(&spec(None), "app", &candidates(&[1, 2, 3]));
    let after = Sticky::build(&spec(None), "app", &candidates(&[9, 3, 7, 1]));
    let home = |candidate| {
        Some(Home {
            candidate,
            is_old: false,
        })
    };
    assert_eq!(found(&after, &made(&before, 100, b"")), home(3));
    assert_eq!(found(&after, &made(&before, 102, b"")), home(1));
    assert_eq!(found(&after, &made(&before, 101, b"")), None, "it is gone");
}

#[test]
fn a_cookie_tells_neither_name_nor_address_and_depends_on_key_and_pool() {
    let members = candidates(&[1]);
    let one = made(&Sticky::build(&spec(None), "app", &members), 100, b"");
    let text = String::from_utf8(one.clone()).expect("ASCII");
    assert_eq!(text.len(), TAG + TOKEN);
    assert!(!text.contains("secret") && !text.contains("10"), "{text}");
    let other_pool = made(&Sticky::build(&spec(None), "api", &members), 100, b"");
    let mut keyed = spec(None);
    keyed.key = StickyKey::Given(Secret::new("another key of a test"));
    let other_key = made(&Sticky::build(&keyed, "app", &members), 100, b"");
    keyed.key = StickyKey::Group(Secret::new("the key of a test"));
    let group = made(&Sticky::build(&keyed, "app", &members), 100, b"");
    for other in [other_pool, other_key, group] {
        assert_ne!(one[..TAG], other[..TAG]);
        assert_ne!(one[TAG..], other[TAG..]);
    }
}

#[test]
fn the_cookies_of_a_key_never_change() {
    let sticky = Sticky::build(&spec(None), "app", &candidates(&[1]));
    let cookie = sticky.set_cookie(100, std::iter::empty(), true, NOW);
    let expected = "SRV=1JhloJajrXq69zTv6N5tq54eyA; Path=/; HttpOnly; SameSite=Lax; Secure";
    assert_eq!(cookie.as_deref(), Some(expected));
}

#[test]
fn a_forged_cookie_is_no_cookie() {
    let sticky = Sticky::build(&spec(None), "app", &candidates(&[1]));
    let mut forged = made(&sticky, 100, b"");
    assert!(found(&sticky, &forged).is_some());
    forged[TAG] = if forged[TAG] == b'A' { b'B' } else { b'A' };
    assert_eq!(found(&sticky, &forged), None);
    for value in ["", ".", "10.0.0.1:80", &"A".repeat(26), &".".repeat(9000)] {
        assert_eq!(found(&sticky, value.as_bytes()), None, "{value}");
    }
}

#[test]
fn pools_share_a_cookie_and_each_changes_its_own_entry() {
    let app = Sticky::build(&spec(None), "app", &candidates(&[1, 2]));
    let api = Sticky::build(&spec(Some(60)), "api", &candidates(&[7]));
    let one = made(&app, 100, b"");
    let both = made(&api, 100, &one);
    assert_eq!(found(&app, &both).map(|home| home.candidate), Some(0));
    assert_eq!(found(&api, &both).map(|home| home.candidate), Some(0));
    let moved = made(&app, 101, &both);
    assert_eq!(moved.len(), both.len(), "the old entry is gone");
    assert_eq!(found(&app, &moved).map(|home| home.candidate), Some(1));
    assert_eq!(found(&api, &moved).map(|home| home.candidate), Some(0));
}

#[test]
fn entries_of_others_are_few_and_of_the_right_form() {
    let app = Sticky::build(&spec(None), "app", &candidates(&[1]));
    let other = "B".repeat(TAG + TOKEN);
    let many = [other.as_str(); 40].join(".");
    let got = made(&app, 100, many.as_bytes());
    assert_eq!(got.len(), (OTHERS + 1) * (TAG + TOKEN + 1) - 1);
    let bad = format!("x; Domain=evil.{}", "=".repeat(TAG + TOKEN));
    assert_eq!(made(&app, 100, bad.as_bytes()).len(), TAG + TOKEN);
}

#[test]
fn a_cookie_is_old_when_half_of_its_time_is_over() {
    let sticky = Sticky::build(&spec(Some(3600)), "app", &candidates(&[1]));
    let value = made(&sticky, 100, b"");
    let is_old = |now| {
        let home = sticky.home(std::iter::once(&value[..]), now);
        home.expect("it leads there").is_old
    };
    assert!(!is_old(NOW));
    assert!(!is_old(NOW + 1799));
    assert!(is_old(NOW + 1800));
    assert!(is_old(NOW - 1), "it was made ahead of time");
    // One of a time without `ttl`.
    assert!(
        found(&sticky, &value[..TAG + TOKEN])
            .expect("it leads there")
            .is_old
    );
    let without = Sticky::build(&spec(None), "app", &candidates(&[1]));
    assert!(!found(&without, &value).expect("it leads there").is_old);
}

#[test]
fn attributes_are_as_the_policy_says() {
    let mut spec = spec(Some(60));
    spec.domain = Some("example.com".into());
    spec.path = "/shop".into();
    spec.http_only = false;
    spec.same_site = SameSite::None;
    let sticky = Sticky::build(&spec, "app", &candidates(&[1]));
    let cookie = sticky.set_cookie(100, std::iter::empty(), false, NOW);
    let cookie = cookie.expect("a candidate");
    let (_, attributes) = cookie.split_once("; ").expect("attributes");
    let expected = "Path=/shop; Domain=example.com; Max-Age=60; SameSite=None; Secure";
    assert_eq!(attributes, expected);
    spec.same_site = SameSite::Strict;
    spec.secure = Some(false);
    let sticky = Sticky::build(&spec, "app", &candidates(&[1]));
    let cookie = sticky.set_cookie(100, std::iter::empty(), true, NOW);
    assert!(cookie.expect("a candidate").ends_with("SameSite=Strict"));
    assert_eq!(sticky.set_cookie(7, std::iter::empty(), true, NOW), None);
}

proptest! {
    #[test]
    fn stamps_are_read_as_they_were_written(then in 0..ERA, later in 0..ERA) {
        let age = age(&stamp(then), then.wrapping_add(later));
        prop_assert_eq!(age, later);
    }

    #[test]
    fn whatever_a_client_sends_the_new_cookie_is_one_plain_value(
        value in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let sticky = Sticky::build(&spec(Some(9)), "app", &candidates(&[1]));
        let made = made(&sticky, 100, &value);
        prop_assert!(made.iter().all(|byte| is_digit(byte) || *byte == b'.'));
        prop_assert!(made.len() < 200);
    }
}
