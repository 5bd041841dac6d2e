use super::*;

const ERRORS: u32 = 5;

pub(super) fn rules() -> Eject {
    Eject {
        errors: ERRORS,
        base: Duration::from_secs(30),
        longest: Duration::from_secs(300),
        most: 0.5,
        ratio: Some(ErrorRatio {
            share: 0.5,
            window: Duration::from_secs(5),
            requests: 20,
        }),
    }
}

fn machine(members: u32, now: Instant) -> Ejector {
    let mut ejector = Ejector::new(rules(), now, now, 1);
    ejector.set_members(now, (0..members).map(seat));
    ejector
}

pub(super) fn seat(id: EndpointId) -> Seat {
    Seat {
        id,
        weighs: true,
        able: true,
    }
}

fn none(_: EndpointId) -> Counts {
    Counts::default()
}

/// For how long the member is put out, in seconds.
fn eject(ejector: &mut Ejector, now: Instant, id: EndpointId) -> Option<f64> {
    match ejector.erred(now, id, "status")? {
        Action::Eject { time, .. } => Some(time.as_secs_f64()),
        Action::Return { .. } => None,
    }
}

fn returned(ejector: &mut Ejector, now: Instant) -> Vec<EndpointId> {
    let actions = ejector.due(now, none);
    let id = |action: &Action| match action {
        Action::Return { id } => Some(*id),
        Action::Eject { .. } => None,
    };
    actions.iter().filter_map(id).collect()
}

#[test]
fn who_errs_too_often_is_out_and_comes_back() {
    let now = Instant::now();
    let mut ejector = machine(3, now);
    let time = eject(&mut ejector, now, 1).expect("it is put out");
    assert!((27.0..33.0).contains(&time), "{time}");
    let (until, times, cause) = ejector.sentence_of(1).expect("it is out");
    assert_eq!((times, cause), (1, "status"));
    assert_eq!(
        returned(&mut ejector, until - Duration::from_millis(1)),
        [0; 0]
    );
    assert_eq!(returned(&mut ejector, until), [1]);
    assert_eq!(ejector.sentence_of(1), None);
}

#[test]
fn times_out_double_up_to_the_longest_and_good_behaviour_takes_them_back() {
    let mut now = Instant::now();
    let mut ejector = machine(3, now);
    let mut times = Vec::new();
    for _ in 0..6 {
        let time = eject(&mut ejector, now, 0).expect("it is put out");
        times.push(time);
        now += Duration::from_secs_f64(time);
        assert_eq!(returned(&mut ejector, now), [0]);
        now += Duration::from_secs(1);
    }
    for (time, expected) in times.iter().zip([30.0, 60.0, 120.0, 240.0, 300.0, 300.0]) {
        let bounds = expected * 0.9..=f64::min(expected * 1.1, 300.0);
        assert!(bounds.contains(time), "{times:?}");
    }
    // Six times out less three forgiven, and one more.
    now += Duration::from_secs(3 * 30);
    assert!(eject(&mut ejector, now, 0).is_some());
    assert_eq!(ejector.sentence_of(0).map(|(_, times, _)| times), Some(4));
}

#[test]
fn only_so_many_are_out_at_once_and_the_last_one_never_is() {
    let now = Instant::now();
    for (members, most, expected) in [
        (1, 1.0, 0),
        (2, 0.5, 1),
        (2, 1.0, 1),
        (3, 0.5, 1),
        (3, 0.0, 1),
        (3, 2.0 / 3.0, 2),
        (3, 1.0, 2),
        (10, 0.5, 5),
        (10, 0.29, 2),
        (10, 0.3, 3),
    ] {
        let mut ejector = machine(members, now);
        ejector.rules.most = most;
        let out = (0..members).filter_map(|id| eject(&mut ejector, now, id));
        assert_eq!(out.count(), expected, "{most} of {members}");
    }
}

#[test]
fn the_last_one_that_is_able_stays_whoever_else_is_down() {
    let now = Instant::now();
    let mut ejector = machine(3, now);
    ejector.set_able(0, false);
    ejector.set_able(1, false);
    assert_eq!(eject(&mut ejector, now, 2), None);
    assert_eq!(eject(&mut ejector, now, 0), None, "its checks have it out");
    ejector.set_able(1, true);
    assert!(eject(&mut ejector, now, 2).is_some());
}

#[test]
fn members_without_weight_neither_count_nor_stand_in() {
    let now = Instant::now();
    let mut ejector = machine(2, now);
    let idle = Seat {
        id: 2,
        weighs: false,
        able: false,
    };
    ejector.set_members(now, (0..2).map(seat).chain([idle]));
    ejector.set_able(2, true);
    assert!(eject(&mut ejector, now, 0).is_some());
    assert_eq!(eject(&mut ejector, now, 1), None);
}

#[test]
fn one_that_went_down_and_came_up_is_forgiven_once() {
    let now = Instant::now();
    let mut ejector = machine(3, now);
    eject(&mut ejector, now, 0);
    assert_eq!(ejector.recovered(now, 0), Some(Action::Return { id: 0 }));
    assert_eq!(ejector.recovered(now, 0), None, "it is in");
    eject(&mut ejector, now, 0);
    assert_eq!(ejector.recovered(now, 0), None, "the second time in a row");
}

#[test]
fn a_share_of_errors_takes_a_member_out_within_the_window() {
    let now = Instant::now();
    let mut ejector = machine(3, now);
    // 20 requests a second each; every second one of member 1 fails, but never two in a row.
    let counts = |tick: u64| {
        move |id| Counts {
            ended: tick * 10,
            failed: if id == 1 { tick * 5 } else { 0 },
        }
    };
    let mut out = None;
    for tick in 0..20 {
        let at = now + Duration::from_millis(500 * (tick + 1));
        if let Some(action) = ejector.due(at, counts(tick)).first() {
            out = Some((tick, action.clone()));
            break;
        }
    }
    let Some((tick, Action::Eject { id: 1, cause, .. })) = out else {
        panic!("{out:?}");
    };
    assert_eq!((tick, cause), (2, RATIO), "as soon as 20 requests are seen");
}

#[test]
fn what_fails_everywhere_takes_nobody_out() {
    let now = Instant::now();
    let mut ejector = machine(3, now);
    for tick in 1..20 {
        let at = now + Duration::from_millis(500 * tick);
        let counts = |_| Counts {
            ended: tick * 100,
            failed: tick * 90,
        };
        assert_eq!(ejector.due(at, counts), []);
    }
}

#[test]
fn errors_of_before_a_time_out_do_not_count_after_it() {
    let mut now = Instant::now();
    let mut ejector = machine(2, now);
    let counts = |id| Counts {
        ended: 100,
        failed: if id == 0 { 100 } else { 0 },
    };
    ejector.due(now, counts);
    let time = eject(&mut ejector, now, 0).expect("it is put out");
    now += Duration::from_secs_f64(time);
    assert_eq!(ejector.due(now, counts), [Action::Return { id: 0 }]);
    now += Duration::from_secs(5);
    assert_eq!(ejector.due(now, counts), []);
}

#[test]
fn a_reload_keeps_who_is_out_and_new_rules_hold_for_what_follows() {
    let now = Instant::now();
    let mut ejector = machine(4, now);
    eject(&mut ejector, now, 0);
    let before = ejector.sentence_of(0);
    let quick = Eject {
        base: Duration::from_secs(1),
        ratio: None,
        ..rules()
    };
    ejector.set_rules(&quick, now);
    ejector.set_members(now, [0, 1, 2, 7].map(seat).into_iter());
    assert_eq!(ejector.sentence_of(0), before);
    assert!(eject(&mut ejector, now, 7).is_some_and(|time| time < 1.2));
    ejector.set_members(now, [1, 2].map(seat).into_iter());
    assert_eq!(ejector.deadline(), None, "nobody is left to return");
}

#[test]
fn another_process_goes_on_with_what_was_known() {
    let now = Instant::now();
    let mut before = machine(4, now);
    eject(&mut before, now, 0);
    eject(&mut before, now, 1);
    before.recovered(now, 1);
    let later = now + Duration::from_secs(10);
    let mut after = machine(4, later);
    for (id, sentence) in before.export(later) {
        let action = after.adopt(later, id, &sentence);
        assert_eq!(action.is_some(), id == 0, "{sentence:?}");
    }
    assert_eq!(after.sentence_of(0), before.sentence_of(0));
    assert_eq!(before.export(later), after.export(later));
    // Told again, it is no news; nor is there more room than the rules give.
    for (id, sentence) in before.export(later) {
        assert_eq!(after.adopt(later, id, &sentence), None);
    }
    let out = Sentence {
        left: Duration::from_secs(3600),
        times: 9,
        cause: "reset",
        behaved: Duration::ZERO,
    };
    let adopted = (0..4).filter_map(|id| after.adopt(later, id, &out)).count();
    assert_eq!(adopted, 1);
    let (until, ..) = after.sentence_of(0).expect("it is out");
    assert_eq!(
        until,
        later + rules().longest,
        "never longer than the rules say"
    );
}
