//! Groups of priority: who of a pool's members takes what part.
//!
//! A group takes everything as long as `spill` of its weight is up. With less it takes as much less,
//! and the next group takes the rest, by the same rule. Where all groups together could not take
//! everything they share it out in proportion.

use super::Member;
use crate::balance::Candidate;

/// The largest weight where weights are no longer those of the policy: fine enough for a share of a
/// thousandth, and the sum of 10 000 of them fits into 32 bits.
const FINEST: f64 = 100_000.0;

/// The candidates and those behind them.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Who takes requests now.
    pub(super) candidates: Vec<Candidate>,
    /// Who stands in when all candidates were tried, the first one first.
    pub(super) reserve: Vec<Candidate>,
}

/// Shares out what comes to the pool among the members that are open: those that are well and have
/// a weight.
pub(super) fn choose(members: &[Member], open: &[&Member], spill: f64) -> Chosen {
    let Some(first) = open.iter().map(|member| member.priority).min() else {
        return Chosen::default();
    };
    let mut groups: Vec<u8> = members.iter().map(|member| member.priority).collect();
    groups.sort_unstable();
    groups.dedup();
    let parts = parts(members, open, &groups, spill);
    let part_of = |member: &Member| {
        let place = groups.binary_search(&member.priority);
        place.map_or(0.0, |place| parts[place])
    };
    let candidate = |member: &Member, weight| Candidate {
        endpoint: member.endpoint.clone(),
        weight,
    };
    let (taking, mut waiting): (Vec<&Member>, Vec<&Member>) =
        open.iter().partition(|member| part_of(member) > 0.0);
    let alone = taking.iter().all(|member| member.priority == first);
    let mean = mean_capacity(open);
    let effective = |member: &Member| member.effective_weight(mean);
    let sum_of = |group: u8| {
        let own = open.iter().filter(|member| member.priority == group);
        own.map(|member| effective(member)).sum::<f64>()
    };
    let weights: Vec<f64> = taking
        .iter()
        .map(|member| match alone {
            true => effective(member),
            false => effective(member) * part_of(member) / sum_of(member.priority),
        })
        .collect();
    waiting.sort_by_key(|member| member.priority);
    Chosen {
        candidates: taking
            .iter()
            .zip(whole(&weights))
            .map(|(member, weight)| candidate(member, weight))
            .collect(),
        reserve: waiting
            .iter()
            .map(|member| candidate(member, member.weight))
            .collect(),
    }
}

/// What each group takes, 0.0 to 1.0.
fn parts(members: &[Member], open: &[&Member], groups: &[u8], spill: f64) -> Vec<f64> {
    let all: Vec<&Member> = members.iter().collect();
    let mut left = 1.0;
    let part = |group: &u8| {
        let (up, whole) = (weight(open, *group), weight(&all, *group));
        let able = match up > 0.0 {
            true if spill > 0.0 => (up / whole.max(up) / spill).min(1.0),
            true => 1.0,
            false => 0.0,
        };
        let part = able.min(left);
        left -= part;
        // A trace that rounding left is nobody's share.
        if part < 1e-9 { 0.0 } else { part }
    };
    groups.iter().map(part).collect()
}

/// The weight of a group among these members.
fn weight(members: &[&Member], group: u8) -> f64 {
    let own = members.iter().filter(|member| member.priority == group);
    own.map(|member| f64::from(member.weight)).sum()
}

/// Of those that have reported one.
fn mean_capacity(members: &[&Member]) -> Option<f64> {
    let reported = members.iter().filter_map(|member| member.capacity);
    let count = reported.clone().count();
    (count > 0).then(|| reported.map(f64::from).sum::<f64>() / count as f64)
}

/// Weights as whole numbers of at least 1: as they are where they are that already.
fn whole(weights: &[f64]) -> Vec<u32> {
    let fits = |weight: &f64| weight.fract() == 0.0 && (1.0..=FINEST).contains(weight);
    if weights.iter().all(fits) {
        return weights.iter().map(|weight| *weight as u32).collect();
    }
    let heaviest = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let scaled = |weight: &f64| (weight / heaviest * FINEST).round().max(1.0) as u32;
    weights.iter().map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::{Address, Duty, Endpoint, Health};

    /// Members as (priority, weight, up).
    fn members(list: &[(u8, u32, bool)]) -> Vec<Member> {
        (0u16..)
            .zip(list)
            .map(|(id, &(priority, weight, up))| Member {
                endpoint: Arc::new(Endpoint::new(
                    u32::from(id),
                    "app".into(),
                    id.to_string(),
                    Address::Tcp(([127, 0, 0, 1], id).into()),
                )),
                weight,
                priority,
                capacity: None,
                health: if up { Health::Up } else { Health::Down },
                duty: Duty::Active,
            })
            .collect()
    }

    fn chosen(list: &[(u8, u32, bool)], spill: f64) -> Chosen {
        let members = members(list);
        let open: Vec<&Member> = members
            .iter()
            .filter(|member| member.health == Health::Up && member.weight > 0)
            .collect();
        choose(&members, &open, spill)
    }

    /// The part of all requests that each member of the list gets.
    fn shares(list: &[(u8, u32, bool)], spill: f64) -> Vec<f64> {
        let chosen = chosen(list, spill);
        let sum: u32 = chosen.candidates.iter().map(|one| one.weight).sum();
        let share = |id: usize| {
            let found = chosen
                .candidates
                .iter()
                .find(|one| one.endpoint.id as usize == id);
            found.map_or(0.0, |one| f64::from(one.weight) / f64::from(sum))
        };
        (0..list.len()).map(share).collect()
    }

    #[track_caller]
    fn assert_shares(list: &[(u8, u32, bool)], spill: f64, expected: &[f64]) {
        let shares = shares(list, spill);
        let close = |(is, wanted): (&f64, &f64)| (is - wanted).abs() < 0.001;
        assert!(
            shares.iter().zip(expected).all(close),
            "{shares:?} instead of {expected:?}"
        );
    }

    #[test]
    fn a_backup_gets_nothing_while_enough_of_the_others_is_up() {
        let list = [
            (0, 1, true),
            (0, 1, true),
            (0, 1, true),
            (0, 1, false),
            (10, 1, true),
        ];
        assert_shares(&list, 0.7, &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
    }

    #[test]
    fn what_a_group_cannot_take_goes_to_the_next_one() {
        let half = [(0, 1, true), (0, 1, false), (1, 1, true), (2, 1, true)];
        assert_shares(&half, 0.7, &[0.5 / 0.7, 0.0, 1.0 - 0.5 / 0.7, 0.0]);
        let chain = [
            (0, 1, true),
            (0, 9, false),
            (1, 2, true),
            (1, 8, false),
            (2, 5, true),
        ];
        let (first, second) = (0.1 / 0.7, 0.2 / 0.7);
        let rest = 1.0 - first - second;
        assert_shares(&chain, 0.7, &[first, 0.0, second, 0.0, rest]);
    }

    #[test]
    fn with_a_spill_of_zero_backups_wait_for_the_last_one_to_go() {
        let mut list = [(0, 1, true), (0, 1, false), (0, 1, false), (10, 1, true)];
        assert_shares(&list, 0.0, &[1.0, 0.0, 0.0, 0.0]);
        list[0].2 = false;
        assert_shares(&list, 0.0, &[0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn groups_that_cannot_take_everything_share_it_in_proportion() {
        let list = [(0, 1, true), (0, 9, false), (1, 2, true), (1, 8, false)];
        assert_shares(&list, 0.7, &[1.0 / 3.0, 0.0, 2.0 / 3.0, 0.0]);
    }

    #[test]
    fn a_group_of_its_own_keeps_the_weights_of_the_policy() {
        let list = [(3, 2, true), (3, 5, true), (3, 9, false)];
        let weights = chosen(&list, 0.7).candidates;
        let weights: Vec<_> = weights.iter().map(|candidate| candidate.weight).collect();
        assert_eq!(weights, [2, 5]);
    }

    #[test]
    fn those_that_wait_stand_in_by_priority() {
        let list = [(5, 1, true), (0, 1, true), (1, 1, true)];
        let chosen = chosen(&list, 0.7);
        let ids = |list: &[Candidate]| -> Vec<u32> {
            list.iter().map(|candidate| candidate.endpoint.id).collect()
        };
        assert_eq!(ids(&chosen.candidates), [1]);
        assert_eq!(ids(&chosen.reserve), [2, 0]);
    }

    #[test]
    fn reported_capacities_are_weights_on_top_of_the_policy_s() {
        let mut members = members(&[(0, 1, true), (0, 1, true), (0, 2, true), (0, 1, true)]);
        let capacities = [Some(50.0), Some(100.0), Some(150.0), None];
        for (member, capacity) in members.iter_mut().zip(capacities) {
            member.capacity = capacity;
        }
        let open: Vec<&Member> = members.iter().collect();
        let chosen = choose(&members, &open, 0.7);
        let weights: Vec<_> = chosen.candidates.iter().map(|one| one.weight).collect();
        assert_eq!(weights, [16_667, 33_333, 100_000, 33_333]);
    }

    #[test]
    fn a_report_counts_tenfold_at_most() {
        let mut members = members(&[(0, 1, true); 20]);
        for (member, capacity) in members
            .iter_mut()
            .zip([1e9; 1].into_iter().chain([1.0; 19]))
        {
            member.capacity = Some(capacity);
        }
        let open: Vec<&Member> = members.iter().collect();
        let chosen = choose(&members, &open, 0.7);
        assert_eq!(
            chosen.candidates[0].weight,
            100 * chosen.candidates[1].weight
        );
    }

    proptest! {
        #[test]
        fn whoever_is_up_is_reachable_and_lower_groups_get_the_rest_alone(
            list in proptest::collection::vec((0u8..4, 0u32..=1000, any::<bool>()), 1..30),
            spill in 0.0..=1.0,
        ) {
            let chosen = chosen(&list, spill);
            let up = list.iter().filter(|(_, weight, up)| *up && *weight > 0).count();
            prop_assert_eq!(chosen.candidates.len() + chosen.reserve.len(), up);
            prop_assert_eq!(chosen.candidates.is_empty(), up == 0);
            for candidate in &chosen.candidates {
                prop_assert!((1..=100_000).contains(&candidate.weight));
            }
            let group = |candidate: &Candidate| list[candidate.endpoint.id as usize].0;
            let last = chosen.candidates.iter().map(group).max();
            let next = chosen.reserve.iter().map(group).min();
            prop_assert!(next.is_none_or(|next| Some(next) > last));
        }
    }
}
