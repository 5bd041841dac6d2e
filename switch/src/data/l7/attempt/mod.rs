//! Trying backends, in the order that [`super::retry`] decides, until one answers.

mod deliver;
mod hedge;
mod nobody;
mod trial;

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use pointsman_config::policy::Hedge;

pub(super) use self::deliver::outgoing;
use self::trial::{Answer, Trial};
use super::client::Client;
use super::head::RequestHead;
use super::record::Record;
use super::retry::{Retry, Rules, Step};
use super::stay::Stay;
use super::view::View;
use super::{Ended, Scene, deadline};
use crate::balance::Tried;
use crate::data::place::Wanted;
use crate::endpoint::InFlight;
use crate::error::{Reason, Side};
use crate::pool::Pool;
use crate::snapshot::Route;

/// Forwards a request to a backend of the pool and its answer to the client.
pub async fn forward<'a, C: Client>(
    scene: &Scene<'a>,
    client: &mut C,
    request: &RequestHead,
    view: &View<'_>,
    route: &'a Route,
    pool: &'a Pool,
    record: &mut Record<'a>,
) -> Result<Ended, Reason> {
    record.pooled(pool);
    scene.worker.asked_of(pool.id);
    let hash = pool.hash_by.as_ref().and_then(|by| view.hash(by));
    let stay = Stay::begin(pool, view);
    let stay = stay.as_ref();
    let mark = record.mark.clone();
    let trial = Trial {
        mark: mark.as_deref(),
        scene,
        request,
        route,
        pool,
        stay,
        end: deadline::end(request, route, record.began()),
    };
    let mut retry = Retry::new(Rules {
        backends: route.retry.attempts,
        repeatable: trial.is_repeatable(),
        affine: hash.is_some() || stay.is_some_and(Stay::has_home),
        on: &route.retry.on,
        per_try: route.retry.per_try.is_some(),
    });
    // An answer that is passed on only if no other backend can be tried.
    let mut refused: Option<Box<Answer<'_>>> = None;
    let mut rounds = 0;
    let outcome = loop {
        let (entered, fresh) = match trial.choose(client, &mut retry, hash).await {
            Ok(chosen) => chosen,
            Err(reason) => match refused.take() {
                Some(answer) => break trial.deliver(client, *answer, record).await,
                None => break Err(reason),
            },
        };
        if let Some(answer) = refused.take() {
            trial.discard(*answer);
        }
        (rounds, record.attempts) = (rounds + 1, record.attempts + 1);
        let endpoint = entered.endpoint().clone();
        record.backend = Some(endpoint.clone());
        let answer = if let Some(hedge) = trial.hedge() {
            let place = (entered, fresh);
            match trial
                .boxed_hedge(client, hedge, place, hash, &mut retry, record)
                .await
            {
                Some(answer) => answer,
                None => continue,
            }
        } else {
            match trial.attempt(client, entered, fresh).await {
                Ok(answer) => answer,
                Err(failure) => {
                    retry.failed(&endpoint, &failure);
                    continue;
                }
            }
        };
        record.backend_took = answer.took;
        match retry.is_refused(answer.head.status, answer.is_spent()) {
            true => refused = Some(Box::new(answer)),
            false => break trial.deliver(client, answer, record).await,
        }
    };
    if rounds > 1 {
        scene.worker.shard.retry(pool.id, outcome.is_ok());
    }
    outcome
}

impl<'a> Trial<'a> {
    /// The place at a backend that the next try takes, and whether only a new connection will do.
    async fn choose<C: Client>(
        &self,
        client: &mut C,
        retry: &mut Retry<'_>,
        hash: Option<u64>,
    ) -> Result<(InFlight, bool), Reason> {
        let mut step = retry.next(|| self.can_afford());
        if let Step::Pick = step {
            match self.place(client, retry.tried(), hash).await {
                Ok(entered) => {
                    retry.chose(entered.endpoint().id);
                    return Ok((entered, false));
                }
                Err(reason) if reason.side() == Side::Client => return Err(reason),
                Err(reason) => step = retry.nobody(reason),
            }
        }
        match step {
            Step::Again(endpoint) => Ok((endpoint.enter(), true)),
            Step::GiveUp(reason) => Err(reason),
            Step::Pick => Err(Reason::Internal),
        }
    }

    /// A place at a backend that was not tried.
    async fn place<C: Client>(
        &self,
        client: &mut C,
        tried: &Tried,
        hash: Option<u64>,
    ) -> Result<InFlight, Reason> {
        let (worker, pool) = (self.scene.worker, self.pool);
        let wanted = Wanted {
            pool,
            home: self.stay.and_then(|stay| stay.home(tried)),
            hash,
            tried,
        };
        match wanted.now(worker) {
            Ok(entered) => Ok(entered),
            Err(false) => Err(Reason::NoBackend),
            Err(true) => {
                let gone = |cx: &mut Context<'_>| client.poll_gone(cx);
                let since = Instant::now();
                let waited = wanted
                    .boxed_wait(worker, self.scene.alarm, self.end, gone)
                    .await;
                if let Some(notes) = self.notes() {
                    notes.waited(since);
                }
                waited
            }
        }
    }

    /// [`Trial::hedged`], boxed out of the sight of its caller: what is built there, if only for a
    /// moment, makes the future of every request larger, and that is copied when it is begun.
    #[inline(never)]
    fn boxed_hedge<'f, C: Client>(
        &'f self,
        client: &'f mut C,
        hedge: Hedge,
        place: (InFlight, bool),
        hash: Option<u64>,
        retry: &'f mut Retry<'_>,
        record: &'f mut Record<'_>,
    ) -> Pin<Box<dyn Future<Output = Option<Answer<'a>>> + 'f>> {
        Box::pin(self.hedged(client, hedge, place, hash, retry, record))
    }

    /// Whether the pool's budget allows one more try; it is counted then.
    fn can_afford(&self) -> bool {
        let budget = &self.pool.lasting.budget;
        let fits = budget.spend(self.route.retry.budget, Instant::now());
        if !fits {
            self.scene.worker.shard.retry_refused(self.pool.id);
        }
        fits
    }
}
