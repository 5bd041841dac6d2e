//! Seeded simulation: requests, backends that fail in every way there is, and a referee who knows
//! what arrived where. `POINTSMAN_SEED=n` plays one run again.

use std::collections::HashMap;

use super::*;
use crate::endpoint::{Address, EndpointId};

const fn on(connect: bool, reset: bool, timeout: bool) -> RetryOn {
    RetryOn {
        connect,
        reset,
        timeout,
        statuses: Vec::new(),
    }
}

/// What `retry.on` may say, the default first.
static ON: [RetryOn; 4] = [
    on(true, true, false),
    on(true, true, true),
    on(true, false, false),
    on(false, false, false),
];

/// Runs of the simulation.
const RUNS: u64 = 20_000;

/// splitmix64
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

fn pool(size: usize) -> Vec<Arc<Endpoint>> {
    (0..size as u16)
        .map(|place| {
            let address = Address::Tcp(([127, 0, 0, 1], place).into());
            let (pool, name) = ("app".into(), place.to_string());
            Arc::new(Endpoint::new(u32::from(place), pool, name, address))
        })
        .collect()
}

fn failure(dice: &mut Dice, fresh: bool) -> Failure {
    let reasons = [
        Reason::ConnectRefused,
        Reason::ConnectTimeout,
        Reason::ConnectFailed,
        Reason::StaleConnection,
        Reason::Reset,
        Reason::Timeout,
        Reason::BadResponse,
        Reason::ResponseHeadTooLarge,
        Reason::TotalTimeout,
        Reason::ClientClosed,
        Reason::BodyTimeout,
        Reason::BodyTooLarge,
    ];
    let reason = match reasons[dice.below(reasons.len())] {
        Reason::StaleConnection if fresh => Reason::Reset,
        reason => reason,
    };
    match reason {
        Reason::ConnectRefused | Reason::ConnectTimeout | Reason::ConnectFailed => {
            Failure::unconnected(reason)
        }
        Reason::BadResponse | Reason::ResponseHeadTooLarge => Failure {
            reason,
            answered: true,
            sent: true,
            spent: dice.one_in(3),
        },
        _ => {
            let sent = !dice.one_in(3);
            Failure {
                reason,
                answered: reason != Reason::StaleConnection && dice.one_in(4),
                sent,
                spent: sent && dice.one_in(4),
            }
        }
    }
}

/// One try, as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    endpoint: EndpointId,
    fresh: bool,
    /// `None`: it was answered.
    failed: Option<(Reason, bool, bool, bool)>,
}

/// A run: the rules, the pool's size, every try, and why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    rules: (u32, bool, bool),
    on: usize,
    per_try: bool,
    size: usize,
    made: Vec<Made>,
    /// The budget was spent.
    denied: bool,
    gave_up: Option<Reason>,
}

fn play(seed: u64) -> Run {
    let mut dice = Dice(seed);
    let size = dice.below(6);
    let pool = pool(size);
    let on = dice.below(2 * ON.len()).saturating_sub(ON.len());
    let rules = Rules {
        backends: dice.below(5) as u32,
        repeatable: dice.one_in(2),
        affine: dice.one_in(3),
        on: &ON[on],
        per_try: dice.one_in(4),
    };
    let mut retry = Retry::new(rules);
    let mut made = Vec::new();
    let mut denied = false;
    let gave_up = loop {
        assert!(made.len() <= 2 * size, "seed {seed}: no end: {made:?}");
        let turn = dice.below(size.max(1));
        let (broke, last) = (dice.one_in(8), made.last().copied());
        let (endpoint, fresh) = match step(&mut retry, &pool, turn, || {
            denied = broke;
            assert!(may_be_denied(last), "seed {seed}: asked for {last:?}");
            !broke
        }) {
            Ok(chosen) => chosen,
            Err(reason) => break Some(reason),
        };
        let mut note = Made {
            endpoint: endpoint.id,
            fresh,
            failed: None,
        };
        if dice.one_in(6) {
            made.push(note);
            break None;
        }
        let failure = failure(&mut dice, fresh);
        note.failed = Some((
            failure.reason,
            failure.answered,
            failure.sent,
            failure.spent,
        ));
        made.push(note);
        retry.failed(&endpoint, &failure);
    };
    Run {
        rules: (rules.backends.max(1), rules.repeatable, rules.affine),
        on,
        per_try: rules.per_try,
        size,
        made,
        denied,
        gave_up,
    }
}

/// The endpoint of the next step and whether only a new connection will do, or why there is none.
fn step(
    retry: &mut Retry<'_>,
    pool: &[Arc<Endpoint>],
    turn: usize,
    afford: impl FnOnce() -> bool,
) -> Result<(Arc<Endpoint>, bool), Reason> {
    let mut step = retry.next(afford);
    if let Step::Pick = step {
        let mut open = pool.iter().filter(|one| !retry.tried().contains(one.id));
        let count = open.clone().count();
        if let Some(endpoint) = open.nth(turn % count.max(1)) {
            retry.chose(endpoint.id);
            return Ok((endpoint.clone(), false));
        }
        step = retry.nobody(Reason::NoBackend);
    }
    match step {
        Step::Again(endpoint) => Ok((endpoint, true)),
        Step::GiveUp(reason) => Err(reason),
        Step::Pick => unreachable!("nobody can be picked"),
    }
}

/// Whether the last try may have given a backend work.
fn may_be_denied(last: Option<Made>) -> bool {
    let failed = last.and_then(|made| made.failed);
    failed.is_some_and(|(reason, _, sent, _)| sent && reason != Reason::StaleConnection)
}

/// Whether a request under these rules may go on after a try that failed like this.
fn may_go_on(run: &Run, failed: (Reason, bool, bool, bool)) -> bool {
    let (_, repeatable, _) = run.rules;
    let on = &ON[run.on];
    let (reason, answered, sent, spent) = failed;
    let wanted = match reason {
        Reason::ConnectRefused | Reason::ConnectTimeout | Reason::ConnectFailed => on.connect,
        Reason::Timeout => on.timeout || run.per_try,
        Reason::StaleConnection => true,
        _ => on.reset,
    };
    let backends_fault = !matches!(
        reason,
        Reason::ClientClosed | Reason::BodyTimeout | Reason::BodyTooLarge | Reason::TotalTimeout
    );
    backends_fault && wanted && !answered && !spent && (repeatable || !sent)
}

fn judge(run: &Run) -> Result<(), String> {
    let (allowed, _, affine) = run.rules;
    let mut stale = HashMap::new();
    let mut first = Vec::new();
    for (place, made) in run.made.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| run.made[place]);
        if let Some(failed) = before.and_then(|before| before.failed)
            && !may_go_on(run, failed)
        {
            return Err(format!("tried again after {failed:?}"));
        }
        match made.fresh {
            true if stale.insert(made.endpoint, false) != Some(true) => {
                return Err("a backend got the request twice".into());
            }
            false if first.contains(&made.endpoint) => return Err("the same backend".into()),
            false => first.push(made.endpoint),
            true => (),
        }
        if made.endpoint as usize >= run.size {
            return Err("a backend of another pool".into());
        }
        let was_stale = matches!(made.failed, Some((Reason::StaleConnection, ..)));
        if was_stale {
            stale.insert(made.endpoint, true);
        }
        let next = run.made.get(place + 1);
        let stays = next.is_some_and(|next| next.endpoint == made.endpoint && next.fresh);
        if was_stale && affine && next.is_some() && !stays {
            return Err("left its backend without need".into());
        }
    }
    if first.len() > allowed as usize {
        return Err("too many backends".into());
    }
    ended_rightly(run, first.len(), &stale)
}

/// It gave up with the last failure's reason, and only when nothing was left.
fn ended_rightly(run: &Run, tried: usize, stale: &HashMap<EndpointId, bool>) -> Result<(), String> {
    let (allowed, _, _) = run.rules;
    let Some(reason) = run.gave_up else {
        return match run.made.last() {
            Some(made) if made.failed.is_none() => Ok(()),
            _ => Err("ended without an answer or a reason".into()),
        };
    };
    let Some(failed) = run.made.last().and_then(|made| made.failed) else {
        return match reason == Reason::NoBackend && run.size == 0 {
            true => Ok(()),
            false => Err("gave up untried".into()),
        };
    };
    if reason != failed.0 {
        return Err(format!("{reason:?} is not how it ended"));
    }
    let room = tried < run.size.min(allowed as usize);
    let last_stale = run.made.iter().rev().find_map(|made| match made.failed {
        Some((Reason::StaleConnection, ..)) => stale.get(&made.endpoint).copied(),
        _ => None,
    });
    match may_go_on(run, failed) && !run.denied && (room || last_stale == Some(true)) {
        true => Err("gave up too early".into()),
        false => Ok(()),
    }
}

#[test]
fn no_request_is_tried_where_it_must_not_and_none_is_given_up_too_early() {
    let one = std::env::var("POINTSMAN_SEED").ok();
    let one = one.and_then(|text| text.parse::<u64>().ok());
    let seeds = one.map_or(0..RUNS, |seed| seed..seed + 1);
    let mut longest = 0;
    for seed in seeds {
        let run = play(seed);
        longest = longest.max(run.made.len());
        if let Err(complaint) = judge(&run) {
            panic!("POINTSMAN_SEED={seed}: {complaint}: {run:#?}");
        }
    }
    assert!(one.is_some() || longest > 3, "the runs are too short");
}

#[test]
fn a_seed_plays_the_same_run_again() {
    for seed in 0..200 {
        assert_eq!(play(seed), play(seed));
    }
}

fn rules(repeatable: bool, affine: bool) -> Rules<'static> {
    Rules {
        backends: 2,
        repeatable,
        affine,
        on: &ON[0],
        per_try: false,
    }
}

#[test]
fn a_request_that_is_not_repeatable_goes_on_only_while_nothing_was_sent() {
    let pool = pool(2);
    for (sent, goes_on) in [(false, true), (true, false)] {
        let mut retry = Retry::new(rules(false, false));
        let failure = Failure {
            reason: Reason::Reset,
            answered: false,
            sent,
            spent: false,
        };
        retry.failed(&pool[0], &failure);
        assert_eq!(matches!(retry.next(|| true), Step::Pick), goes_on);
    }
}

#[test]
fn a_hashed_request_stays_with_its_backend_when_only_the_kept_connection_had_ended() {
    let pool = pool(2);
    for (affine, second) in [(true, 0), (false, 1)] {
        let mut retry = Retry::new(rules(true, affine));
        assert!(matches!(retry.next(|| false), Step::Pick));
        retry.chose(pool[0].id);
        retry.failed(&pool[0], &Failure::unconnected(Reason::StaleConnection));
        let (endpoint, fresh) = step(&mut retry, &pool, 0, || false).unwrap();
        assert_eq!((endpoint.id, fresh), (second, second == 0));
    }
}

#[test]
fn an_answer_that_is_as_good_as_none_leads_to_another_backend_within_the_budget() {
    let on = RetryOn {
        statuses: vec![502..=503],
        ..ON[0].clone()
    };
    let pool = pool(2);
    for (repeatable, spent, status, refused) in [
        (true, false, 503, true),
        (true, false, 500, false),
        (true, true, 503, false),
        (false, false, 503, false),
    ] {
        let mut retry = Retry::new(Rules {
            on: &on,
            ..rules(repeatable, false)
        });
        retry.chose(pool[0].id);
        assert_eq!(retry.is_refused(status, spent), refused);
        if refused {
            assert!(matches!(retry.next(|| true), Step::Pick));
            retry.chose(pool[1].id);
            assert!(
                !retry.is_refused(status, spent),
                "the last one is passed on"
            );
        }
    }
    let mut retry = Retry::new(Rules {
        on: &on,
        ..rules(true, false)
    });
    retry.chose(pool[0].id);
    assert!(retry.is_refused(502, false));
    assert!(matches!(retry.next(|| false), Step::GiveUp(_)), "no budget");
}
