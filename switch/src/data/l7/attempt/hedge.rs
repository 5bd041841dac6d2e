//! Two backends for one request (Dean and Barroso, "The tail at scale", CACM 56(2), 2013): when the
//! first has not begun its answer after a while, a second one is asked as well. The first head
//! counts; the other try is dropped, and its connection with it.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use pointsman_config::policy::Hedge;

use super::super::Scene;
use super::super::client::Client;
use super::super::head::Framing;
use super::super::record::Record;
use super::super::retry::{Failure, Retry};
use super::nobody::Nobody;
use super::trial::{Answer, Trial};
use crate::data::place::Wanted;
use crate::endpoint::InFlight;
use crate::error::Reason;

/// What happens while one or two tries are under way.
enum Event<'a> {
    /// One of the two ended.
    Ended(usize, Box<Result<Answer<'a>, Failure>>),
    /// It is time to ask another backend.
    Due,
    /// The client cannot be answered any more.
    Gone(Reason),
}

impl<'a> Trial<'a> {
    /// When another backend is asked as well, for requests that may be hedged.
    pub(super) fn hedge(&self) -> Option<Hedge> {
        let hedge = self.route.retry.hedge?;
        let request = self.request;
        let is_fit = request.framing == Framing::None
            && request.upgrade.is_none()
            && matches!(request.method(), b"GET" | b"HEAD" | b"OPTIONS");
        is_fit.then_some(hedge)
    }

    /// Tries the endpoint whose place is given, and after a while another one as well. `None`: all
    /// that was tried has failed, and `retry` knows.
    pub(super) async fn hedged<C: Client>(
        &self,
        client: &mut C,
        hedge: Hedge,
        (entered, fresh): (InFlight, bool),
        hash: Option<u64>,
        retry: &mut Retry<'_>,
        record: &mut Record<'_>,
    ) -> Option<Answer<'a>> {
        let timer = &self.scene.worker.timer;
        let alarms = [timer.alarm(), timer.alarm()];
        let scenes = alarms.each_ref().map(|alarm| Scene {
            alarm,
            ..*self.scene
        });
        let trials = scenes.each_ref().map(|scene| Trial { scene, ..*self });
        let (mut nobody, mut other) = (Nobody, Nobody);
        let mut other = Some(&mut other);

        let began = Instant::now();
        let mut endpoints = [Some(entered.endpoint().clone()), None];
        let mut first = pin!(Some(trials[0].attempt(&mut nobody, entered, fresh)));
        let mut second = pin!(None);
        // Not by an alarm: those may be late by more than what hedging is to win.
        let mut due = pin!(self.delay(hedge).map(tokio::time::sleep));
        let mut is_due = false;
        loop {
            let event = poll_fn(|cx| {
                for (place, running) in [first.as_mut(), second.as_mut()].into_iter().enumerate() {
                    if let Some(running) = running.as_pin_mut()
                        && let Poll::Ready(result) = running.poll(cx)
                    {
                        return Poll::Ready(Event::Ended(place, Box::new(result)));
                    }
                }
                if let Poll::Ready(reason) = client.poll_gone(cx) {
                    return Poll::Ready(Event::Gone(reason));
                }
                match due.as_mut().as_pin_mut() {
                    Some(due) => due.poll(cx).map(|()| Event::Due),
                    None => Poll::Pending,
                }
            })
            .await;
            match event {
                Event::Due => {
                    due.set(None);
                    is_due = true;
                    self.learn(hedge, began.elapsed());
                    if let Some(nobody) = other.take()
                        && let Some(place) = self.second(hash, retry)
                    {
                        record.attempts += 1;
                        endpoints[1] = Some(place.endpoint().clone());
                        second.set(Some(trials[1].attempt(nobody, place, false)));
                    }
                }
                Event::Gone(reason) => {
                    let endpoint = endpoints[0].as_ref()?;
                    retry.failed(endpoint, &Failure::unconnected(reason));
                    return None;
                }
                Event::Ended(place, result) => match *result {
                    Ok(answer) => {
                        if !is_due && answer.head.status < 500 {
                            self.learn(hedge, began.elapsed());
                        }
                        if place == 1
                            && let Some(late) = &endpoints[0]
                        {
                            // It would have taken that long at least.
                            self.pool.answered(late, 0, began.elapsed());
                        }
                        self.count(endpoints[1].is_some(), place == 1);
                        record.backend = endpoints[place].take();
                        return Some(answer.by(self.scene.alarm));
                    }
                    Err(failure) => {
                        record.backend = endpoints[place].clone();
                        retry.failed(endpoints[place].as_ref()?, &failure);
                        match place {
                            0 => first.set(None),
                            _ => second.set(None),
                        }
                        // A second try that runs may still succeed; one that does not run is the
                        // business of `retry`.
                        due.set(None);
                        if first.is_none() && second.is_none() {
                            self.count(endpoints[1].is_some(), false);
                            return None;
                        }
                    }
                },
            }
        }
    }

    /// `None`: nothing is known yet of how long answers take.
    fn delay(&self, hedge: Hedge) -> Option<Duration> {
        match hedge {
            Hedge::After(after) => Some(after),
            Hedge::Quantile(quantile) => self.pool.lasting.delays.get(quantile),
        }
    }

    /// The first try took so long, or has taken so long and goes on.
    fn learn(&self, hedge: Hedge, took: Duration) {
        if let Hedge::Quantile(quantile) = hedge {
            self.pool.lasting.delays.observe(quantile, took);
        }
    }

    /// A place at another backend, if one has room and the budget allows it.
    fn second(&self, hash: Option<u64>, retry: &mut Retry<'_>) -> Option<InFlight> {
        if !retry.may_hedge() || !self.can_afford() {
            return None;
        }
        let wanted = Wanted {
            pool: self.pool,
            home: None,
            hash,
            tried: retry.tried(),
        };
        let entered = wanted.now(self.scene.worker).ok()?;
        retry.chose(entered.endpoint().id);
        Some(entered)
    }

    fn count(&self, hedged: bool, won: bool) {
        if hedged {
            self.scene.worker.shard.hedge(self.pool.id, won);
        }
    }
}
