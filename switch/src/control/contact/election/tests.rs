//! What a member does, case by case.

use super::*;
use crate::control::contact::group::Family;

const INTERVAL: Duration = Duration::from_millis(100);

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn settings(own: u8, priority: u8) -> Settings {
    Settings {
        group: GroupId {
            number: 51,
            family: Family::Ipv4,
        },
        own: ip(own),
        priority,
        interval: INTERVAL,
        preempt: true,
        preempt_delay: Duration::ZERO,
    }
}

/// A member and its clock.
struct Case {
    member: Election,
    now: Instant,
}

impl Case {
    fn standby(own: u8, priority: u8) -> Self {
        Self::of(settings(own, priority))
    }

    fn of(settings: Settings) -> Self {
        let now = Instant::now();
        let mut member = Election::new(settings, now);
        member.start(now);
        member.actions();
        Self { member, now }
    }

    fn active(own: u8, priority: u8) -> Self {
        let mut case = Self::standby(own, priority);
        case.wait(Duration::from_secs(1));
        assert_eq!(case.member.role(), Role::Active);
        case.member.actions();
        case
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.member.deadline().filter(|due| *due <= until) {
            self.now = due;
            self.member.tick(due);
        }
        self.now = until;
    }

    fn advert(&mut self, from: u8, priority: u8) {
        self.member.advert(ip(from), priority, INTERVAL, self.now);
    }

    fn saw(&mut self, from: u8, role: Role, priority: u8) {
        self.member
            .saw(ip(from), Sight { role, priority }, self.now);
    }

    fn did(&mut self) -> Vec<Action> {
        self.member.actions()
    }
}

const RELEASE: Action = Action::Release { to: None };

#[test]
fn a_standby_takes_over_three_intervals_and_its_skew_after_the_last_advert() {
    let mut case = Case::standby(2, 100);
    case.advert(1, 150);
    // (256 - 100) / 256 of an interval.
    case.wait(Duration::from_micros(360_900));
    assert_eq!(case.member.role(), Role::Standby);
    assert_eq!(case.member.holder(), Some(ip(1)));
    case.wait(Duration::from_micros(100));
    assert_eq!(
        case.did(),
        [
            Action::Acquire,
            Action::Became(Role::Active, Why::Silence),
            Action::Advertise(100)
        ]
    );
}

#[test]
fn the_interval_is_learned_from_the_holder() {
    let mut case = Case::standby(2, 100);
    let slow = Duration::from_secs(1);
    case.member.advert(ip(1), 150, slow, case.now);
    case.wait(Duration::from_secs(3));
    assert_eq!(case.member.role(), Role::Standby);
}

#[test]
fn a_holder_that_leaves_is_followed_at_once_by_the_best() {
    let mut case = Case::standby(2, 100);
    case.advert(1, 150);
    case.advert(1, 0);
    assert_eq!(case.did()[0], Action::Acquire);

    let mut case = Case::standby(2, 100);
    case.saw(3, Role::Standby, 120);
    case.advert(1, 150);
    case.advert(1, 0);
    assert_eq!(case.did(), []);
    case.wait(INTERVAL);
    assert_eq!(
        case.did()[0],
        Action::Acquire,
        "the better one does not come"
    );
}

#[test]
fn a_peer_that_died_is_followed_at_once_and_others_deaths_change_nothing() {
    let mut case = Case::standby(2, 100);
    case.saw(1, Role::Active, 150);
    case.saw(3, Role::Standby, 50);
    case.member.lost(ip(3), case.now);
    assert_eq!(case.did(), []);
    case.member.lost(ip(1), case.now);
    assert_eq!(
        case.did()[..2],
        [Action::Acquire, Action::Became(Role::Active, Why::Death)]
    );
}

#[test]
fn of_equal_priorities_the_greater_address_keeps_the_addresses() {
    let mut greater = Case::active(2, 100);
    greater.advert(1, 100);
    assert_eq!(
        greater.did(),
        [
            Action::Conflict(ip(1)),
            Action::Announce,
            Action::Advertise(100)
        ]
    );
    let mut lesser = Case::active(1, 100);
    lesser.advert(2, 100);
    assert_eq!(
        lesser.did(),
        [
            Action::Conflict(ip(2)),
            Action::Advertise(100),
            RELEASE,
            Action::Became(Role::Standby, Why::Conflict)
        ]
    );
}

#[test]
fn a_flood_of_contradictions_is_answered_now_and_then() {
    let mut case = Case::active(1, 150);
    for _ in 0..1000 {
        case.advert(2, 100);
        case.advert(3, 0);
    }
    assert_eq!(case.did().len(), 3);
    assert_eq!(case.member.role(), Role::Active);
}

#[test]
fn an_equal_or_preferred_holder_is_not_preempted() {
    for (own, priority) in [(2, 100), (3, 99)] {
        let mut case = Case::standby(own, priority);
        for _ in 0..50 {
            case.advert(1, 100);
            case.wait(INTERVAL);
        }
        assert_eq!(case.did(), []);
    }
}

#[test]
fn a_less_preferred_holder_is_preempted_as_vrrp_does_it_when_there_is_no_session() {
    let mut case = Case::standby(2, 150);
    for _ in 0..4 {
        case.advert(1, 100);
        case.wait(INTERVAL);
    }
    assert_eq!(case.member.role(), Role::Active);
}

#[test]
fn without_preemption_and_before_its_delay_a_less_preferred_holder_stays() {
    let mut never = settings(2, 150);
    never.preempt = false;
    let mut later = settings(2, 150);
    later.preempt_delay = Duration::from_secs(2);
    for (settings, ends) in [(never, Role::Standby), (later, Role::Active)] {
        let mut case = Case::of(settings);
        for round in 0..40 {
            case.advert(1, 100);
            case.wait(INTERVAL);
            if round < 19 {
                assert_eq!(case.member.role(), Role::Standby);
            }
        }
        assert_eq!(case.member.role(), ends);
    }
}

#[test]
fn a_peer_is_asked_to_hand_over_and_preempted_only_if_it_does_not_heed() {
    let mut case = Case::standby(2, 150);
    let mut asked = 0;
    while case.member.role() == Role::Standby {
        case.saw(1, Role::Active, 100);
        case.wait(Duration::from_millis(5));
        asked += case
            .did()
            .iter()
            .filter(|did| **did == Action::Request(ip(1)))
            .count();
        assert!(asked <= 5);
    }
    assert_eq!(asked, 5);
}

#[test]
fn a_handover_is_make_before_break_on_both_sides() {
    let mut old = Case::active(1, 150);
    old.saw(2, Role::Standby, 100);
    old.did();
    assert_eq!(old.member.may_give_way(false), Ok(()));
    old.member.give_way(old.now);
    assert_eq!(old.did(), [Action::Yield(ip(2))]);
    assert_eq!(old.member.role(), Role::Active, "it still holds");

    let mut new = Case::standby(2, 100);
    new.saw(1, Role::Active, 150);
    new.member.told_to_take(ip(1), new.now);
    assert_eq!(new.did()[0], Action::Acquire);
    new.saw(1, Role::Active, 150);
    new.advert(1, 150);
    assert_eq!(new.member.role(), Role::Active, "the old one still says so");

    old.saw(2, Role::Active, 100);
    assert_eq!(
        old.did(),
        [
            Action::Release { to: Some(ip(2)) },
            Action::Became(Role::Standby, Why::Yield)
        ]
    );
    old.saw(2, Role::Active, 100);
    old.wait(Duration::from_millis(300));
    assert_eq!(old.did(), [], "it does not take back what it gave");
    assert!(old.member.has_yielded());
    old.member.resume(old.now);
    old.saw(2, Role::Active, 100);
    assert_eq!(old.did(), [Action::Request(ip(2))]);
    new.saw(1, Role::Standby, 150);
    new.did();
    new.member.asked_for(ip(1), new.now);
    assert_eq!(new.did(), [Action::Yield(ip(1))]);
}

#[test]
fn whoever_yielded_still_takes_over_when_nobody_else_is_there() {
    let mut case = Case::active(1, 150);
    case.saw(2, Role::Standby, 100);
    case.member.give_way(case.now);
    case.saw(2, Role::Active, 100);
    case.did();
    case.member.lost(ip(2), case.now);
    assert_eq!(case.did()[0], Action::Acquire);
    assert!(!case.member.has_yielded());
}

#[test]
fn a_handover_that_nobody_takes_up_is_taken_back() {
    let mut case = Case::active(1, 150);
    assert!(case.member.may_give_way(false).is_err());
    assert!(case.member.may_give_way(true).is_ok());
    case.saw(2, Role::Standby, 100);
    case.saw(3, Role::Standby, 90);
    case.did();
    case.member.give_way(case.now);
    case.wait(Duration::from_secs(1));
    let did = case.did();
    assert_eq!(did[..2], [Action::Yield(ip(2)), Action::Yield(ip(3))]);
    assert_eq!(did[2], Action::Announce);
    assert_eq!(case.member.role(), Role::Active);
}

#[test]
fn an_end_hands_over_or_says_so_to_everybody() {
    let mut case = Case::active(1, 150);
    case.saw(2, Role::Standby, 100);
    case.did();
    case.member.stop(case.now);
    case.saw(2, Role::Active, 100);
    assert_eq!(
        case.did(),
        [
            Action::Yield(ip(2)),
            Action::Release { to: Some(ip(2)) },
            Action::Became(Role::Out, Why::Stop)
        ]
    );
    let mut alone = Case::active(1, 150);
    alone.member.stop(alone.now);
    alone.wait(Duration::from_secs(1));
    assert_eq!(
        alone.did(),
        [
            Action::Advertise(0),
            RELEASE,
            Action::Became(Role::Out, Why::Stop)
        ]
    );
}

#[test]
fn a_switch_that_cannot_serve_gives_way_at_once_and_comes_back() {
    let mut case = Case::active(1, 150);
    case.saw(2, Role::Standby, 100);
    case.did();
    case.member.set_fitness(Fitness::Unfit, case.now);
    assert_eq!(
        case.did(),
        [
            Action::Yield(ip(2)),
            RELEASE,
            Action::Advertise(0),
            Action::Became(Role::Out, Why::Fault)
        ]
    );
    case.member.set_fitness(Fitness::Fit, case.now);
    assert_eq!(case.member.role(), Role::Standby);
}

#[test]
fn a_weak_holder_hands_over_to_a_better_one_and_otherwise_stays() {
    let mut case = Case::active(2, 150);
    case.saw(1, Role::Standby, 1);
    case.member.set_fitness(Fitness::Weak, case.now);
    assert_eq!(case.did(), [Action::Announce], "the other one is as weak");
    assert_eq!(case.member.priority(), 1);
    case.saw(1, Role::Standby, 100);
    assert_eq!(case.did(), [Action::Yield(ip(1))]);
}

#[test]
fn the_holder_announces_again_whenever_a_peer_comes_back_or_lets_go() {
    let mut case = Case::active(2, 150);
    case.saw(1, Role::Standby, 100);
    assert_eq!(case.did(), [Action::Announce]);
    case.saw(1, Role::Standby, 100);
    assert_eq!(case.did(), []);
    case.wait(ANSWER);
    case.saw(1, Role::Active, 100);
    assert!(case.did().contains(&Action::Announce));
    case.saw(1, Role::Standby, 100);
    assert_eq!(case.did(), [Action::Announce]);
    case.member.lost(ip(1), case.now);
    case.saw(1, Role::Standby, 100);
    assert_eq!(case.did(), [Action::Announce]);
    case.member.heard_released();
    assert_eq!(case.did(), [Action::Announce]);
}

#[test]
fn the_owner_holds_from_its_start_on_and_an_heir_goes_on_holding() {
    let now = Instant::now();
    let mut owner = Election::new(settings(1, 255), now);
    owner.start(now);
    assert_eq!(owner.role(), Role::Active);
    let mut old = Case::active(1, 100);
    assert!(old.member.bequeath());
    assert_eq!(old.did(), []);
    let mut heir = Election::new(settings(1, 100), now);
    heir.inherit(now);
    assert_eq!(heir.role(), Role::Active);
}
