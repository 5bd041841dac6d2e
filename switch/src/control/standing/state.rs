//! Ejection and slow start as the state of the control plane has them.

use std::time::{Duration, Instant, SystemTime};

use super::super::health::eject::{Action, Ejector};
use super::super::health::ramp::Ramp;
use super::super::journal::Happening;
use super::super::state::State;
use super::{Change, KnownEjection, KnownSlowStart, Standing};
use crate::endpoint::{Endpoint, State as EndpointState};

impl State {
    /// Takes note of too many errors in a row; whether a snapshot has to follow.
    pub fn erred(&mut self, endpoint: &Endpoint, cause: &'static str, now: Instant) -> bool {
        let change = self.standing.erred(endpoint, cause, now);
        change.map(|change| self.tell(&change)).is_some()
    }

    /// When [`State::advance`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        self.standing.deadline()
    }

    /// Does what is due; whether a snapshot has to follow.
    pub fn advance(&mut self, now: Instant) -> bool {
        let (changes, grown) = self.standing.advance(now);
        for change in &changes {
            self.tell(change);
        }
        grown || !changes.is_empty()
    }

    /// Until when an endpoint is out by ejection, the how manieth time in a row, and why.
    pub fn ejected_until(&self, endpoint: &Endpoint) -> Option<(SystemTime, u32, &'static str)> {
        let (until, times, cause) = self.standing.sentence_of(endpoint)?;
        let left = until.saturating_duration_since(Instant::now());
        Some((SystemTime::now() + left, times, cause))
    }

    /// Endpoints that are out by ejection, or were and are not forgiven: for another process, or
    /// for switches that stand by.
    pub fn export_ejections(&self) -> Vec<KnownEjection> {
        self.standing.export(Instant::now())
    }

    /// Takes over what another process or switch knew of endpoints that are here, too. The rules
    /// of this policy hold: no more than `max` are out, and never the last one. Whoever is out here
    /// stays out for the longer time. Whether a snapshot has to follow.
    pub fn adopt_ejections(&mut self, known: &[KnownEjection]) -> bool {
        let changes = self.standing.adopt(known, Instant::now());
        for change in &changes {
            self.tell(change);
        }
        !changes.is_empty()
    }

    /// Endpoints in their slow start.
    pub fn export_slow_starts(&self) -> Vec<KnownSlowStart> {
        self.standing.slow_starts(Instant::now())
    }

    /// Goes on with slow starts that have begun elsewhere.
    pub fn adopt_slow_starts(&mut self, known: &[KnownSlowStart]) {
        self.standing.adopt_slow_starts(known, Instant::now());
    }

    /// Counts and tells a change that has been made.
    pub(in crate::control) fn tell(&mut self, change: &Change) {
        let endpoint = &change.endpoint;
        if let Some(entry) = self.entry_mut(endpoint.id) {
            entry.since = SystemTime::now();
        }
        let (pool, backend) = (&endpoint.pool, &endpoint.name);
        let state = |ejected| EndpointState::of(endpoint.health(), ejected, false);
        let is_out = endpoint.is_ejected();
        self.hub()
            .transition(endpoint, state(!is_out), state(is_out));
        let event = match change.action {
            Action::Eject {
                cause, time, times, ..
            } => {
                let seconds = (time.as_secs_f64() * 1000.0).round() / 1000.0;
                self.hub().ejected(pool, cause);
                tracing::warn!(%pool, %backend, why = cause, seconds, times, "backend is ejected");
                let text = format!("{pool}/{backend} is ejected for {seconds} s: {cause}");
                Happening::warning("ejection", text).about("reason", cause)
            }
            Action::Return { .. } => {
                tracing::info!(%pool, %backend, "backend is back after its ejection");
                let text = format!("{pool}/{backend} is back after its ejection");
                Happening::info("ejection-over", text)
            }
        };
        let event = event.about("pool", pool).about("backend", backend);
        self.journal().note(event);
    }
}

impl Standing {
    fn export(&self, now: Instant) -> Vec<KnownEjection> {
        let mut all = Vec::new();
        for pool in self.pools.values() {
            let known = pool.ejector.as_ref().map(|ejector| ejector.export(now));
            for (id, sentence) in known.into_iter().flatten() {
                let endpoint = pool.members.get(&id);
                all.extend(endpoint.map(|endpoint| KnownEjection::of(endpoint, &sentence)));
            }
        }
        // Equal knowledge is equal however it came about: only news are told to other switches.
        all.sort_by(|a, b| {
            (&a.pool, &a.backend, &a.address).cmp(&(&b.pool, &b.backend, &b.address))
        });
        all
    }

    fn adopt(&mut self, known: &[KnownEjection], now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        for known in known {
            let Some(pool) = self.pools.get_mut(&known.pool) else {
                continue;
            };
            let mut members = pool.members.values();
            let Some(id) = members.find(|one| known.is_of(one)).map(|one| one.id) else {
                continue;
            };
            let adopt = |ejector: &mut Ejector| ejector.adopt(now, id, &known.sentence());
            let action = pool.ejector.as_mut().and_then(adopt);
            changes.extend(action.and_then(|action| pool.carry_out(action, now)));
        }
        changes
    }

    fn slow_starts(&self, now: Instant) -> Vec<KnownSlowStart> {
        let pools = self.pools.values();
        let all = pools.flat_map(|pool| {
            pool.ramps.iter().filter_map(move |(id, ramp)| {
                let endpoint = pool.members.get(id)?;
                Some(KnownSlowStart::of(endpoint, ramp.elapsed(now)))
            })
        });
        all.collect()
    }

    fn adopt_slow_starts(&mut self, known: &[KnownSlowStart], now: Instant) {
        for known in known {
            let Some(pool) = self.pools.get_mut(&known.pool) else {
                continue;
            };
            let mut members = pool.members.values();
            let found = members.find(|endpoint| known.is_of(endpoint));
            let Some(endpoint) = found.filter(|endpoint| endpoint.state().serves()) else {
                continue;
            };
            let ramp = Ramp::new(now, known.elapsed.min(Duration::from_secs(86_400)));
            pool.ramps.insert(endpoint.id, ramp);
            pool.step(now);
        }
    }
}
