use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::endpoint::{Address, Health};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

fn members(names: &[&str]) -> Vec<Vec<Member>> {
    let member = |(id, name): (u32, &&str)| Member {
        endpoint: Arc::new(Endpoint::new(
            id,
            "app".to_owned(),
            (*name).to_owned(),
            Address::Tcp(([127, 0, 0, 1], 1).into()),
        )),
        ..crate::pool::testing::member(id, Health::Up, 5)
    };
    vec![(0..).zip(names).map(member).collect()]
}

/// Duty and weight of each member under the overlay.
fn shown(overlay: &Overlay, names: &[&str], now: SystemTime) -> Vec<(Duty, u32)> {
    let mut members = members(names);
    overlay.lay_over(&mut members, now);
    let all = members.iter().flatten();
    all.map(|member| (member.duty, member.weight)).collect()
}

fn give(overlay: &mut Overlay, backend: &str, order: Order, time: Option<Duration>, now: u64) {
    let given = overlay.give("app", backend, order, "deploy", time, at(now));
    given.expect("there is room");
}

#[test]
fn weight_and_duty_are_laid_over_and_taken_back() {
    let mut overlay = Overlay::default();
    give(&mut overlay, "one", Order::Weight(9), None, 0);
    give(&mut overlay, "one", Order::Drain, None, 1);
    give(&mut overlay, "two", Order::Disable, None, 2);
    let names = ["one", "two", "three"];
    let got = shown(&overlay, &names, at(3));
    let free = (Duty::Active, 5);
    assert_eq!(got, [(Duty::Draining, 9), (Duty::Disabled, 5), free]);
    assert!(overlay.take_back("app", "one", "", at(4)));
    assert!(!overlay.take_back("app", "one", "", at(5)));
    assert!(!overlay.take_back("app", "three", "", at(5)));
    let got = shown(&overlay, &names, at(6));
    assert_eq!(got, [free, (Duty::Disabled, 5), free]);
}

#[test]
fn an_order_ends_by_itself() {
    let mut overlay = Overlay::default();
    give(&mut overlay, "one", Order::Drain, MINUTE, 0);
    assert_eq!(overlay.next_end(at(10)), Some(Duration::from_secs(50)));
    assert_eq!(shown(&overlay, &["one"], at(59))[0].0, Duty::Draining);
    assert_eq!(shown(&overlay, &["one"], at(60))[0].0, Duty::Active);
    assert_eq!(overlay.expire(at(59)), []);
    let ended = overlay.expire(at(60));
    assert_eq!((ended.len(), ended[0].order.as_str()), (1, "drain"));
    assert_eq!(overlay, Overlay::default());
    assert_eq!(overlay.next_end(at(61)), None);
}

#[test]
fn a_backend_with_several_addresses_is_one_and_each_of_them_is_another() {
    let mut overlay = Overlay::default();
    let names = ["app.test:80 (10.0.0.1)", "app.test:80 (10.0.0.2)"];
    give(&mut overlay, "app.test:80", Order::Drain, None, 0);
    let duties = |overlay: &Overlay| {
        let all = shown(overlay, &names, at(1));
        [all[0].0, all[1].0]
    };
    assert_eq!(duties(&overlay), [Duty::Draining; 2]);
    give(&mut overlay, names[1], Order::Disable, None, 0);
    assert_eq!(duties(&overlay), [Duty::Draining, Duty::Disabled]);
    overlay.take_back("app", "app.test:80", "", at(1));
    assert_eq!(duties(&overlay), [Duty::Active, Duty::Disabled]);
    assert!(overlay.stray(&members(&names), at(1)).is_empty());
    assert_eq!(overlay.stray(&members(&names[..1]), at(1)).len(), 1);
}

#[test]
fn what_was_taken_back_beats_what_was_given_before() {
    let mut one = Overlay::default();
    give(&mut one, "x", Order::Drain, None, 0);
    let early = one.export(true, at(0));
    one.take_back("app", "x", "", at(1));
    let late = one.export(true, at(1));
    assert_eq!(one.adopt(early, at(2)), [], "it is older");
    assert_eq!(one.export(false, at(2)), []);
    let mut other = Overlay::default();
    assert_eq!(other.adopt(late, at(2)).len(), 1);
    let day = at(86_402);
    other.expire(day);
    assert_eq!(other, Overlay::default(), "a day is long enough");
}

#[test]
fn an_order_is_later_than_what_it_replaces_whatever_the_clocks_say() {
    let (mut here, mut there) = (Overlay::default(), Overlay::default());
    give(&mut there, "x", Order::Drain, None, 500);
    here.adopt(there.export(true, at(500)), at(0));
    here.take_back("app", "x", "", at(1));
    there.adopt(here.export(true, at(1)), at(501));
    assert_eq!(there.export(false, at(501)), []);
}

#[test]
fn entries_and_texts_are_bounded() {
    let mut overlay = Overlay::default();
    for n in 0..MAX_ENTRIES as u64 {
        give(&mut overlay, &n.to_string(), Order::Drain, None, n);
    }
    let full = overlay.give("app", "more", Order::Drain, "", None, at(0));
    assert_eq!(full, Err(Full));
    overlay.take_back("app", "7", "", at(9));
    give(&mut overlay, "more", Order::Drain, None, 10);
    assert_eq!(overlay.export(true, at(10)).len(), MAX_ENTRIES);
    let why = format!("a\nb{}", "ü".repeat(1000));
    let mut overlay = Overlay::default();
    let given = overlay.give("app", "x", Order::Drain, &why, None, at(0));
    given.expect("there is room");
    let entry = &overlay.export(false, at(0))[0];
    assert_eq!(entry.why.chars().count(), MAX_WHY);
    assert!(entry.why.starts_with("a b"));
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let right = OverlayEntry {
        pool: "app".to_owned(),
        backend: "x".to_owned(),
        order: "drain".to_owned(),
        at: millis(at(0)),
        ..OverlayEntry::default()
    };
    let wrong = [
        OverlayEntry {
            order: "fly".to_owned(),
            ..right.clone()
        },
        OverlayEntry {
            order: "weight".to_owned(),
            ..right.clone()
        },
        OverlayEntry {
            order: "weight".to_owned(),
            weight: Some(1001),
            ..right.clone()
        },
        OverlayEntry {
            pool: String::new(),
            ..right.clone()
        },
        OverlayEntry {
            backend: "x".repeat(1000),
            ..right.clone()
        },
        OverlayEntry {
            until: Some(right.at),
            ..right.clone()
        },
    ];
    let mut overlay = Overlay::default();
    assert_eq!(overlay.adopt(wrong.to_vec(), at(0)), []);
    assert_eq!(overlay.adopt(vec![right.clone()], at(0)), [right]);
    let text = r#"{ "pool": "app", "order": "drain", "moon": "full" }"#;
    let entry: OverlayEntry = serde_json::from_str(text).expect("it is read");
    assert_eq!((entry.order.as_str(), entry.at), ("drain", 0));
}

fn entries() -> impl Strategy<Value = Vec<OverlayEntry>> {
    let word = prop_oneof![
        Just("drain"),
        Just("disable"),
        Just("enable"),
        Just("weight"),
        Just("file-weight"),
    ];
    let until = proptest::option::of(900u64..1100);
    let entry = (0u8..3, word, 0u32..3, 990u64..1000, until, 0u8..2);
    let entry = entry.prop_map(
        |(backend, order, weight, second, until, why)| OverlayEntry {
            pool: "app".to_owned(),
            backend: backend.to_string(),
            order: order.to_owned(),
            weight: (order == "weight").then_some(weight),
            why: why.to_string(),
            at: second * 1000,
            until: until.map(|second| second * 1000),
        },
    );
    proptest::collection::vec(entry, 0..12)
}

proptest! {
    #[test]
    fn switches_agree_whatever_the_order_in_which_they_tell_each_other(
        told in entries(),
        order in any::<proptest::sample::Index>(),
    ) {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let (mut one, mut other) = (Overlay::default(), Overlay::default());
        one.adopt(told.clone(), now);
        let mut turned = told.clone();
        turned.reverse();
        if !turned.is_empty() {
            let by = order.index(turned.len());
            turned.rotate_left(by);
        }
        for entry in turned {
            other.adopt(vec![entry], now);
        }
        prop_assert_eq!(&one, &other);
        let again = one.export(true, now);
        prop_assert_eq!(one.adopt(again, now), vec![]);
    }
}
