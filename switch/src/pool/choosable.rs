//! Which members may be chosen.

use pointsman_config::policy::Panic;

use super::Member;
use super::groups::{self, Chosen};
use crate::endpoint::{Duty, Health, State};

/// Who is chosen: the members that are up, or the unchecked ones when none is, by groups of
/// priority; in panic, what the policy wants then. And whether it is in panic.
pub(super) fn choose(members: &[Member], panic: Panic, spill: f64) -> (Chosen, bool) {
    // One that was taken out by hand counts as not there: whoever is left takes its place.
    let on_duty = members.iter().filter(|member| member.duty == Duty::Active);
    let members = &on_duty.cloned().collect::<Vec<_>>()[..];
    let in_panic = is_panic(members, panic);
    let chosen = match (in_panic, panic.spread) {
        (false, _) => groups::choose(members, &ordinary(members), spill),
        (true, true) => {
            // Whoever may answer is needed now, whatever its group.
            let flat = |member: &Member| Member {
                priority: 0,
                ..member.clone()
            };
            let flat: Vec<Member> = spread(members).into_iter().map(flat).collect();
            groups::choose(&flat, &flat.iter().collect::<Vec<_>>(), spill)
        }
        (true, false) => Chosen::default(),
    };
    (chosen, in_panic)
}

/// Too few are healthy in every group: as long as one can stand in, nobody else has to. Unchecked
/// members are not known to be ill, and count as healthy here.
fn is_panic(members: &[Member], panic: Panic) -> bool {
    let counted = || {
        members
            .iter()
            .filter(|member| member.weight > 0 && member.health != Health::Unresolved)
    };
    let too_few = |group: u8| {
        let (mut all, mut healthy) = (0u32, 0u32);
        for member in counted().filter(|member| member.priority == group) {
            let state = member.state();
            all += 1;
            healthy += u32::from(state.serves() || state == State::Starting);
        }
        f64::from(healthy) < panic.below * f64::from(all)
    };
    let mut groups: Vec<u8> = counted().map(|member| member.priority).collect();
    groups.sort_unstable();
    groups.dedup();
    !groups.is_empty() && groups.into_iter().all(too_few)
}

/// One that is up but has weight 0 still keeps the unchecked ones out: the operator took it out by
/// hand, and the pool is known to work. Ejection alone empties no pool.
fn ordinary(members: &[Member]) -> Vec<&Member> {
    let any_up = members.iter().any(|member| member.state().serves());
    let chosen = take(members, |member| match any_up {
        true => member.state().serves(),
        false => member.state() == State::Starting,
    });
    match chosen.is_empty() && !any_up {
        true => take(members, |member| member.state() == State::Ejected),
        false => chosen,
    }
}

/// Whoever may answer, whatever is known of it.
fn spread(members: &[Member]) -> Vec<&Member> {
    take(members, |member| {
        let listens = member.health != Health::Down || !member.refuses;
        listens && member.health != Health::Unresolved
    })
}

fn take(members: &[Member], fits: impl Fn(&Member) -> bool) -> Vec<&Member> {
    let all = members.iter();
    all.filter(|member| member.weight > 0 && fits(member))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::WHOLE;
    use crate::pool::testing::member;

    const SPREAD: Panic = Panic {
        spread: true,
        below: 0.3,
    };

    fn ids(members: &[Member], panic: Panic) -> (Vec<u32>, bool) {
        let (chosen, in_panic) = choose(members, panic, 0.7);
        let candidates = chosen.candidates.iter();
        let ids = candidates.map(|candidate| candidate.endpoint.id);
        (ids.collect(), in_panic)
    }

    fn members(words: &str) -> Vec<Member> {
        let member = |(id, letter): (u32, char)| {
            let health = match letter {
                's' => Health::Starting,
                'd' | 'r' => Health::Down,
                'n' => Health::Unresolved,
                _ => Health::Up,
            };
            Member {
                ejected: letter == 'e',
                refuses: letter == 'r',
                ..member(id, health, u32::from(letter != '0'))
            }
        };
        (0..).zip(words.chars()).map(member).collect()
    }

    #[test]
    fn who_may_be_chosen_follows_the_table() {
        // u: up, e: ejected, d: down, r: down and refusing connections, s: starting,
        // n: unresolved, 0: up with weight 0
        let fail = Panic {
            spread: false,
            ..SPREAD
        };
        let never = Panic {
            below: 0.0,
            ..SPREAD
        };
        let cases: &[(&str, Panic, &[u32], bool)] = &[
            ("uduu", SPREAD, &[0, 2, 3], false),
            ("ueu", SPREAD, &[0, 2], false),
            ("dsn", SPREAD, &[1], false),
            ("0s", SPREAD, &[], false),
            ("udd", SPREAD, &[0], false),
            ("uddd", SPREAD, &[0, 1, 2, 3], true),
            ("udre", SPREAD, &[0, 1, 3], true),
            ("udd0", SPREAD, &[0], false),
            ("uddn", SPREAD, &[0], false),
            ("rr", SPREAD, &[], true),
            ("sddd", SPREAD, &[0, 1, 2, 3], true),
            ("ssss", SPREAD, &[0, 1, 2, 3], false),
            ("uddd", fail, &[], true),
            ("udd", fail, &[0], false),
            ("uddd", never, &[0], false),
            ("dd", never, &[], false),
            ("ee", never, &[0, 1], false),
            ("er", never, &[0], false),
            ("es", never, &[1], false),
            ("", SPREAD, &[], false),
        ];
        for (words, panic, expected, in_panic) in cases {
            let got = ids(&members(words), *panic);
            assert_eq!(got, (expected.to_vec(), *in_panic), "{words} {panic:?}");
        }
    }

    #[test]
    fn a_member_in_its_slow_start_has_its_part_of_the_weight() {
        let mut all = members("uuu");
        all[2].weight = 4;
        all[1].share = 100;
        all[2].share = 500;
        let weights = |members: &[Member]| {
            let (chosen, _) = choose(members, SPREAD, 0.7);
            let candidates = chosen.candidates.iter();
            candidates
                .map(|candidate| candidate.weight)
                .collect::<Vec<_>>()
        };
        assert_eq!(weights(&all), [50_000, 5_000, 100_000]);
        all[1].share = WHOLE;
        all[2].share = WHOLE;
        assert_eq!(weights(&all), [1, 1, 4]);
    }

    #[test]
    fn there_is_no_panic_while_backups_stand_in_and_in_panic_no_group_waits() {
        let mut all = members("dddu");
        assert!(ids(&all, SPREAD).1);
        all[3].priority = 10;
        assert_eq!(ids(&all, SPREAD), (vec![3], false));
        all[3].health = Health::Down;
        assert_eq!(ids(&all, SPREAD), (vec![0, 1, 2, 3], true));
    }
}
