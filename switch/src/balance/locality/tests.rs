use pointsman_config::policy::HashBy;
use proptest::prelude::*;

use super::*;
use crate::balance::Tried;
use crate::balance::hash::mix;
use crate::balance::testing::{candidates, tried};
use crate::endpoint::{InFlight, Most};

const LOW: u32 = 5;
const HIGH: u32 = 10;
const DECAY: u64 = 20_000;

fn policy() -> policy::Locality {
    policy::Locality {
        by: HashBy::Path,
        low: LOW,
        high: HIGH,
        decay: Duration::from_millis(DECAY),
        targets: 1024,
    }
}

fn locality(candidates: &[Candidate]) -> Locality {
    Locality::new(&policy(), candidates, Arc::new(Table::new(1024)))
}

fn choice(target: u64, now: u64, tried: &Tried) -> Choice<'_> {
    Choice {
        cursor: 0,
        entropy: mix(target.wrapping_add(now)),
        hash: Some(mix(target)),
        now,
        tried,
    }
}

fn pick(locality: &Locality, candidates: &[Candidate], target: u64, now: u64) -> usize {
    let none = Tried::default();
    let place = locality.pick(candidates, &choice(target, now, &none));
    place.expect("none was tried")
}

fn servers(locality: &Locality, target: u64) -> Vec<EndpointId> {
    let known = locality.table.get(mix(target)).unwrap_or_default();
    known.servers.iter().collect()
}

fn busy(candidate: &Candidate, count: u32) -> Vec<InFlight> {
    (0..count).map(|_| candidate.endpoint.enter()).collect()
}

#[test]
fn a_target_stays_where_it_was_served_while_that_is_not_overloaded() {
    let candidates = candidates(&[1; 4]);
    let locality = locality(&candidates);
    let home = pick(&locality, &candidates, 1, 0);
    let _busy = busy(&candidates[home], HIGH);
    for now in 1..100 {
        assert_eq!(pick(&locality, &candidates, 1, now), home);
    }
}

#[test]
fn targets_spread_over_all_candidates_by_weight() {
    let candidates = candidates(&[1, 1, 2]);
    let locality = locality(&candidates);
    let mut counts = [0u32; 3];
    for target in 0..1000 {
        counts[pick(&locality, &candidates, target, 0)] += 1;
    }
    assert!(
        counts[0].abs_diff(250) < 60 && counts[2].abs_diff(500) < 60,
        "{counts:?}"
    );
}

#[test]
fn an_overloaded_server_gets_help_from_one_that_has_room() {
    let candidates = candidates(&[1; 3]);
    let locality = locality(&candidates);
    let home = pick(&locality, &candidates, 1, 0);
    let others: Vec<usize> = (0..3).filter(|place| *place != home).collect();
    let _full = busy(&candidates[home], HIGH + 1);
    let _half = busy(&candidates[others[0]], LOW);
    assert_eq!(pick(&locality, &candidates, 1, 1), others[1]);
    assert_eq!(servers(&locality, 1).len(), 2);
    assert_eq!(
        pick(&locality, &candidates, 1, 2),
        others[1],
        "it is the less loaded one now"
    );
}

#[test]
fn without_room_elsewhere_help_comes_only_at_twice_the_threshold() {
    let candidates = candidates(&[1; 2]);
    let locality = locality(&candidates);
    let home = pick(&locality, &candidates, 1, 0);
    let _half = busy(&candidates[1 - home], LOW);
    let mut full = busy(&candidates[home], 2 * HIGH - 1);
    assert_eq!(pick(&locality, &candidates, 1, 1), home);
    full.extend(busy(&candidates[home], 1));
    assert_eq!(pick(&locality, &candidates, 1, 2), 1 - home);
}

#[test]
fn a_target_with_several_servers_loses_the_most_loaded_after_a_while() {
    let candidates = candidates(&[1; 2]);
    let locality = locality(&candidates);
    let home = pick(&locality, &candidates, 1, 0);
    let full = busy(&candidates[home], HIGH + 1);
    pick(&locality, &candidates, 1, 1000);
    drop(full);
    let _some = busy(&candidates[home], 2);
    pick(&locality, &candidates, 1, 1000 + DECAY);
    assert_eq!(servers(&locality, 1).len(), 2);
    pick(&locality, &candidates, 1, 1200 + DECAY);
    assert_eq!(servers(&locality, 1), [candidates[1 - home].endpoint.id]);
}

#[test]
fn a_server_that_was_away_serves_its_targets_again() {
    let all = candidates(&[1; 3]);
    let before = locality(&all);
    let home = pick(&before, &all, 1, 0);
    let mut rest = all.clone();
    rest.remove(home);
    let during = Locality::new(&policy(), &rest, before.table.clone());
    let stand_in = pick(&during, &rest, 1, 1);
    assert_eq!(
        pick(&during, &rest, 1, 2),
        stand_in,
        "it is remembered, too"
    );
    let after = Locality::new(&policy(), &all, before.table.clone());
    let _busy = busy(&rest[stand_in], 1);
    assert_eq!(pick(&after, &all, 1, 3), home);
}

#[test]
fn another_try_goes_to_another_server_of_the_target_and_changes_nothing() {
    let candidates = candidates(&[1; 4]);
    let locality = locality(&candidates);
    let home = pick(&locality, &candidates, 1, 0);
    let full = busy(&candidates[home], HIGH + 1);
    let other = pick(&locality, &candidates, 1, 1);
    drop(full);
    let before = servers(&locality, 1);
    let tried = tried(&[candidates[home].endpoint.id]);
    let place = locality.pick(&candidates, &choice(1, 2, &tried));
    assert_eq!(place, Some(other));
    assert_eq!(servers(&locality, 1), before);
}

#[test]
fn when_there_is_no_room_at_a_target_s_server_another_one_helps_out_and_it_stays_its_server() {
    let candidates = candidates(&[1; 3]);
    let locality = locality(&candidates);
    let home = pick(&locality, &candidates, 1, 0);
    let before = servers(&locality, 1);
    let limit = &candidates[home].endpoint.limit;
    limit.set(Most::Fixed(2), &Arc::default());
    let full = busy(&candidates[home], 2);
    assert_ne!(pick(&locality, &candidates, 1, 1), home);
    assert_eq!(servers(&locality, 1), before);
    drop(full);
    assert_eq!(pick(&locality, &candidates, 1, 2), home);
}

#[test]
fn a_heavier_server_may_have_more_under_way() {
    let candidates = candidates(&[1, 3]);
    let locality = locality(&candidates);
    let target = (0..).find(|&target| pick(&locality, &candidates, target, 0) == 1);
    let target = target.expect("one of them is its");
    // 12 at weight 3 are as 8 at the mean weight of 2.
    let _busy = busy(&candidates[1], 12);
    assert_eq!(pick(&locality, &candidates, target, 1), 1);
    let _more = busy(&candidates[1], 4);
    assert_eq!(pick(&locality, &candidates, target, 2), 0);
}

#[test]
fn requests_without_a_target_go_to_the_least_loaded() {
    let candidates = candidates(&[1; 3]);
    let locality = locality(&candidates);
    let _busy = [busy(&candidates[0], 1), busy(&candidates[2], 2)];
    let none = Tried::default();
    let choice = Choice {
        hash: None,
        ..choice(1, 0, &none)
    };
    assert_eq!(locality.pick(&candidates, &choice), Some(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The paper's bound: as long as no more than (n - 1) * high + low - 1 are under way, nobody has
    /// twice `high` for long, since there is always one below `low` or nobody above `high`.
    #[test]
    fn no_server_has_more_than_twice_the_threshold(
        seed: u64,
        count in 2usize..8,
        targets in 1u64..50,
    ) {
        let candidates = candidates(&vec![1; count]);
        let locality = locality(&candidates);
        let admitted = (count - 1) * HIGH as usize + LOW as usize - 1;
        let mut under_way = Vec::new();
        for step in 0..3000u64 {
            let random = mix(seed.wrapping_add(step));
            if under_way.len() == admitted {
                under_way.swap_remove((random >> 20) as usize % under_way.len());
            }
            let target = (random % targets).min(random >> 32 & 3);
            let place = pick(&locality, &candidates, target, step);
            under_way.push(candidates[place].endpoint.enter());
            let load = candidates[place].endpoint.in_flight();
            prop_assert!(load <= 2 * HIGH, "{load}");
        }
    }
}
