//! Seeded simulation: pools whose backends err, go down, come and go; the invariants hold after
//! every step. A failure names its seed; the same seed plays the same run.

use std::collections::BTreeMap;

use super::tests::rules;
use super::*;

struct World {
    ejector: Ejector,
    rules: Eject,
    random: SplitMix,
    now: Instant,
    members: BTreeMap<EndpointId, Seat>,
    counts: BTreeMap<EndpointId, Counts>,
    out: BTreeMap<EndpointId, Instant>,
    next_id: EndpointId,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64, start: Instant) -> Self {
        let mut random = SplitMix::new(seed);
        let mut rules = Eject {
            base: Duration::from_millis(10 + random.next_u64() % 10_000),
            most: random.unit(),
            ..rules()
        };
        rules.longest = rules.base * (1 + random.next_u64() % 20) as u32;
        if random.unit() < 0.3 {
            rules.ratio = None;
        }
        let mut world = Self {
            ejector: Ejector::new(rules.clone(), start, start, seed),
            rules,
            random,
            now: start,
            members: BTreeMap::new(),
            counts: BTreeMap::new(),
            out: BTreeMap::new(),
            next_id: 0,
            trace: Vec::new(),
        };
        for _ in 0..1 + world.random.next_u64() % 8 {
            world.join();
        }
        world.tell_members();
        world
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.next_u64() % 500);
        let dice = self.random.next_u64() % 100;
        match dice {
            0..2 if self.members.len() < 12 => {
                self.join();
                self.tell_members();
            }
            2..4 => self.leave(),
            4..20 => self.change_health(),
            20..60 => self.err(),
            _ => self.work(),
        }
        self.due();
        self.check();
    }

    fn join(&mut self) {
        let weighs = self.random.unit() < 0.9;
        let seat = Seat {
            id: self.next_id,
            weighs,
            able: weighs,
        };
        self.members.insert(self.next_id, seat);
        self.counts.insert(self.next_id, Counts::default());
        self.next_id += 1;
    }

    fn leave(&mut self) {
        if let Some(id) = self.any() {
            self.members.remove(&id);
            self.out.remove(&id);
            self.tell_members();
        }
    }

    fn change_health(&mut self) {
        let Some(id) = self.any() else { return };
        let Some(seat) = self.members.get_mut(&id) else {
            return;
        };
        let able = !seat.able;
        seat.able = able && seat.weighs;
        self.ejector.set_able(id, able);
        if able {
            let action = self.ejector.recovered(self.now, id);
            self.take(action.into_iter().collect());
        }
    }

    fn err(&mut self) {
        if let Some(id) = self.any() {
            let action = self.ejector.erred(self.now, id, "reset");
            self.take(action.into_iter().collect());
        }
    }

    fn work(&mut self) {
        for (id, counts) in &mut self.counts {
            let ended = self.random.next_u64() % 50;
            counts.ended += ended;
            counts.failed += if id % 3 == 0 {
                ended * 2 / 3
            } else {
                ended / 20
            };
        }
    }

    fn any(&mut self) -> Option<EndpointId> {
        let count = self.members.len() as u64;
        let at = self.random.next_u64().checked_rem(count)?;
        self.members.keys().nth(at as usize).copied()
    }

    fn tell_members(&mut self) {
        let seats: Vec<Seat> = self.members.values().copied().collect();
        self.ejector.set_members(self.now, seats.into_iter());
    }

    fn due(&mut self) {
        let counts = self.counts.clone();
        let actions = self.ejector.due(self.now, |id| counts[&id]);
        self.take(actions);
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.trace.push(format!("{action:?}"));
            match action {
                Action::Eject { id, time, .. } => {
                    assert!(self.members[&id].able, "only who is able is put out");
                    assert!(time <= self.rules.longest, "{time:?}");
                    assert!(time >= self.rules.base.mul_f64(0.89), "{time:?}");
                    let twice = self.out.insert(id, self.now + time);
                    assert_eq!(twice, None, "nobody is put out twice");
                    self.check_room(id);
                }
                Action::Return { id } => {
                    assert!(self.out.remove(&id).is_some(), "who returns was out");
                }
            }
        }
    }

    fn check_room(&self, last: EndpointId) {
        let weighing = self.members.values().filter(|seat| seat.weighs).count();
        let most = (self.rules.most * weighing as f64 + 1e-9) as usize;
        let counted = self.out.keys().filter(|id| self.members[id].weighs);
        assert!(counted.count() <= most.max(1), "the cap holds");
        let left = |seat: &&Seat| seat.able && !self.out.contains_key(&seat.id);
        assert!(
            self.members.values().any(|seat| left(&seat)),
            "{last} was the last one"
        );
    }

    fn check(&self) {
        for (id, until) in &self.out {
            assert!(*until > self.now, "whose time is over returns");
            let known = self.ejector.sentence_of(*id);
            assert_eq!(known.map(|(until, ..)| until), Some(*until));
        }
        let deadline = self.ejector.deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now));
        assert!(self.out.is_empty() || deadline.is_some());
    }
}

fn run(seed: u64, start: Instant) -> Vec<String> {
    let mut world = World::new(seed, start);
    for _ in 0..500 {
        world.step();
    }
    world.trace
}

#[test]
fn invariants_hold_in_two_thousand_seeded_runs() {
    let start = Instant::now();
    let mut ejections = 0;
    for seed in 0..2000 {
        match std::panic::catch_unwind(|| run(seed, start)) {
            Ok(trace) => ejections += trace.len(),
            Err(_) => panic!("seed {seed}"),
        }
    }
    assert!(ejections > 10_000, "{ejections}");
}

#[test]
fn the_same_seed_plays_the_same_run() {
    let start = Instant::now();
    for seed in [3, 1999, u64::MAX] {
        assert_eq!(run(seed, start), run(seed, start));
    }
}

/// A pool under a steady load that is shared out among those that are in, with a backend's errors
/// told as workers would tell them.
struct Load {
    ejector: Ejector,
    now: Instant,
    rows: Vec<u32>,
    counts: Vec<Counts>,
    out: Vec<bool>,
    turn: usize,
    failed: u32,
}

impl Load {
    fn new(members: u32, rules: Eject) -> Self {
        let now = Instant::now();
        let mut ejector = Ejector::new(rules, now, now, 7);
        ejector.set_members(now, (0..members).map(super::tests::seat));
        let members = members as usize;
        Self {
            ejector,
            now,
            rows: vec![0; members],
            counts: vec![Counts::default(); members],
            out: vec![false; members],
            turn: 0,
            failed: 0,
        }
    }

    /// A hundred requests a second for so long; `is_ill` says who fails at which time.
    fn run(&mut self, time: Duration, is_ill: impl Fn(usize, Duration) -> bool) {
        let start = self.now;
        while self.now < start + time {
            self.now += Duration::from_millis(10);
            let at = self.now - start;
            self.request(|id| is_ill(id, at));
            let counts = self.counts.clone();
            let actions = self.ejector.due(self.now, |id| counts[id as usize]);
            actions.iter().for_each(|action| self.take(action));
        }
    }

    fn request(&mut self, is_ill: impl Fn(usize) -> bool) {
        let Some(id) = (1..=self.out.len())
            .map(|ahead| (self.turn + ahead) % self.out.len())
            .find(|id| !self.out[*id])
        else {
            panic!("nobody is left");
        };
        self.turn = id;
        self.counts[id].ended += 1;
        if !is_ill(id) {
            self.rows[id] = 0;
            return;
        }
        self.failed += 1;
        self.counts[id].failed += 1;
        self.rows[id] += 1;
        if self.rows[id].is_multiple_of(self.ejector.rules().errors) {
            let action = self.ejector.erred(self.now, id as EndpointId, "status");
            action.iter().for_each(|action| self.take(action));
        }
    }

    fn take(&mut self, action: &Action) {
        match *action {
            Action::Eject { id, .. } => {
                self.out[id as usize] = true;
                self.rows[id as usize] = 0;
            }
            Action::Return { id } => {
                self.out[id as usize] = false;
                self.rows[id as usize] = self.ejector.rules().errors - 1;
            }
        }
    }
}

#[test]
fn one_that_is_ill_for_an_hour_costs_five_requests_and_one_per_return() {
    let mut load = Load::new(3, rules());
    load.run(Duration::from_secs(3600), |id, _| id == 1);
    // 30, 60, 120, 240 and then 300 seconds: about fourteen returns.
    assert!((15..=25).contains(&load.failed), "{}", load.failed);
    load.run(Duration::from_secs(330), |_, _| false);
    assert_eq!(load.out, [false; 3], "and it is back");
}

#[test]
fn one_that_flaps_every_second_is_out_most_of_the_time() {
    let mut load = Load::new(3, rules());
    let flaps = |id, at: Duration| id == 1 && at.as_secs().is_multiple_of(2);
    load.run(Duration::from_secs(600), flaps);
    // Left in, it would fail half of a third of 60 000.
    assert!(load.failed < 100, "{}", load.failed);
}

#[test]
fn of_four_that_are_all_ill_two_stay_in_and_all_return() {
    let mut load = Load::new(4, rules());
    load.run(Duration::from_secs(10), |_, _| true);
    assert_eq!(load.out.iter().filter(|out| **out).count(), 2);
    load.run(Duration::from_secs(300), |_, _| false);
    assert_eq!(load.out, [false; 4]);
}

#[test]
fn half_of_the_pool_may_be_out() {
    let mut load = Load::new(4, rules());
    load.run(Duration::from_secs(10), |id, _| id < 2);
    assert_eq!(load.out, [true, true, false, false]);
    assert_eq!(load.failed, 10);
}
