//! The application layer: requests in, answers out. [`exchange`] is the pipeline that every request
//! goes through, in HTTP/1.1 and HTTP/2 alike:
//!
//! `parse` -> `classify` -> [`exchange`]: `view` (route) -> `attempt` (pick, connect, `forward`,
//! `relay`) -> `respond`, with [`rescue`] for what failed and `record` for metrics and log.

mod attempt;
pub mod body;
pub mod classify;
mod client;
mod deadline;
mod field;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod h1;
mod h2;
mod head;
mod load_report;
mod mark;
mod parse;
mod rate;
mod record;
mod relay;
mod respond;
mod retry;
mod secured;
mod stay;
mod told;
mod trace;
mod tunnel;
mod view;

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::ready;
use std::time::Instant;

use pointsman_config::policy::HashBy;

pub use h1::serve as serve_h1;
pub use h2::serve as serve_h2;
pub use secured::Secured;

use self::body::Part;
use self::client::Client;
use self::head::RequestHead;
use self::record::Record;
use self::respond::Local;
use self::view::View;
use super::timer::Alarm;
use super::worker::Worker;
use crate::error::Reason;
use crate::pool::Pool;
use crate::route::Split;
use crate::shared::quotas::{Key, Pace, Scope, Who};
use crate::snapshot::{Action, ListenerSettings, Snapshot};

/// The preface that opens every HTTP/2 connection (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is known of a client's connection.
#[derive(Debug)]
pub struct ConnInfo {
    /// The listener that accepted it, as it was then.
    pub listener: Arc<ListenerSettings>,
    /// The other end's address.
    pub peer: IpAddr,
    /// The same as text.
    pub peer_text: String,
    /// When it was accepted.
    pub since: Instant,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What TLS tells of the client, as far as it is needed.
    pub secured: Secured,
    /// How often clients had been asked to leave when it came: see [`Worker::must_leave`].
    pub asked: u64,
}

impl ConnInfo {
    /// Whether what the peer says of its own clients is believed.
    pub fn is_trusted(&self) -> bool {
        self.listener
            .policy
            .trusted
            .iter()
            .any(|net| net.contains(&self.peer))
    }
}

/// How an exchange ended, for the connection that it came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The response is complete.
    Complete,
    /// The response is broken off: the client must see that.
    Broken,
    /// The connection was a tunnel, and is used up.
    Tunnelled,
}

/// What an exchange uses.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// The client's connection.
    pub conn: &'a ConnInfo,
    /// The listener's settings now.
    pub listener: &'a ListenerSettings,
    /// The exchange's alarm.
    pub alarm: &'a Alarm,
    /// The state of policy and health that holds for this exchange.
    pub snapshot: &'a Snapshot,
}

/// Serves one request.
pub async fn exchange<C: Client>(
    scene: &Scene<'_>,
    client: &mut C,
    request: &RequestHead,
) -> Ended {
    let mut record = Record::begin(scene, request);
    let answered = answer(scene, client, request, &mut record).await;
    record.took_body(client);
    let ended = match answered {
        Ok(ended) => ended,
        Err(reason) => rescue(scene, client, request, reason, &mut record).await,
    };
    record.finish(scene, request);
    ended
}

/// Finds the route and does what it says.
async fn answer<'a, C: Client>(
    scene: &Scene<'a>,
    client: &mut C,
    request: &RequestHead,
    record: &mut Record<'a>,
) -> Result<Ended, Reason> {
    if scene.worker.is_overloaded() {
        return Err(Reason::Overload);
    }
    if scene.conn.secured.misdirects(request, &scene.conn.listener) {
        return Err(Reason::Misdirected);
    }
    let listener = &scene.listener.policy;
    if let Some(redirect) = &listener.redirect {
        return local(
            scene,
            client,
            request,
            &Local::redirect(redirect, request),
            record,
        )
        .await;
    }
    if forward::is_last_hop(request) {
        return local(scene, client, request, &Local::options(), record).await;
    }
    record.client = forward::client_of(request, scene.conn.peer, &listener.trusted);
    if let Some(rate) = listener.limits.requests_per_client {
        let quotas = &scene.worker.connections.quotas;
        let key = Key {
            scope: Scope::Listener(scene.listener.id),
            who: Who::client(record.client),
        };
        let pace = Pace::new(rate, rate.count);
        if quotas.take(key, pace, record.began()).is_err() {
            return Err(Reason::Limit);
        }
    }
    let view = View::new(request, record.client, &listener.name);
    let table = &scene.snapshot.routes;
    let place = table.router.find(&view).ok_or(Reason::NoRoute)?;
    let route = table.routes.get(place).ok_or(Reason::NoRoute)?;
    record.routed(scene, route);
    rate::check(scene, &view, route, record)?;
    if let Some(limit) = route.max_body
        && matches!(request.framing, head::Framing::Length(n) if n > limit)
    {
        return Err(Reason::BodyTooLarge);
    }
    match &route.action {
        Action::Pool(place) => {
            let pool = scene.snapshot.pools.get(*place).ok_or(Reason::Internal)?;
            attempt::forward(scene, client, request, &view, route, pool, record).await
        }
        Action::Split(split) => {
            let pool = share(scene.snapshot, split, &view).ok_or(Reason::Internal)?;
            attempt::forward(scene, client, request, &view, route, pool, record).await
        }
        Action::Redirect(redirect) => {
            local(
                scene,
                client,
                request,
                &Local::redirect(redirect, request),
                record,
            )
            .await
        }
        Action::Respond(respond) => {
            local(scene, client, request, &Local::fixed(respond), record).await
        }
    }
}

/// The pool that a split has for this client.
fn share<'a>(snapshot: &'a Snapshot, split: &Split, view: &View<'_>) -> Option<&'a Pool> {
    let key = view
        .hash(split.by())
        .or_else(|| view.hash(&HashBy::ClientIp));
    let pool = |place: usize| snapshot.pools.get(place);
    let can_serve = |place| pool(place).is_some_and(|pool| pool.can_serve());
    let place = split.draw(key.unwrap_or_default(), can_serve)?;
    pool(place).map(|pool| &**pool)
}

/// Turns what failed into an answer, if the client can still get one.
async fn rescue<C: Client>(
    scene: &Scene<'_>,
    client: &mut C,
    request: &RequestHead,
    reason: Reason,
    record: &mut Record<'_>,
) -> Ended {
    record.failed(reason);
    let gone = matches!(reason, Reason::ClientClosed | Reason::ClientStalled);
    if gone || client.has_begun() {
        return Ended::Broken;
    }
    let mut answer = Local::error(reason);
    if let Some(exceeded) = record.exceeded.take() {
        exceeded.tell(&mut answer);
    }
    match local(scene, client, request, &answer, record).await {
        Ok(ended) => ended,
        Err(_) => Ended::Broken,
    }
}

/// Sends an answer that the switch makes itself.
async fn local<C: Client>(
    scene: &Scene<'_>,
    client: &mut C,
    request: &RequestHead,
    answer: &Local,
    record: &mut Record<'_>,
) -> Result<Ended, Reason> {
    // A body that is not wanted is not waited for: its connection ends.
    let close = must_close(scene, client, request);
    let date = respond::date();
    let lines = answer.lines(&date);
    client.begin(request, &answer.outgoing(&lines, close))?;
    record.status = answer.status;
    let wanted = request.method() != b"HEAD" && !matches!(answer.status, 204 | 304);
    let mut left = if wanted { answer.body.as_bytes() } else { &[] };
    record.response_bytes = left.len() as u64;
    let sent = poll_fn(|cx| {
        while !left.is_empty() {
            let n = ready!(client.poll_send(cx, left))?;
            left = &left[n..];
        }
        client.poll_finish(cx, &[])
    });
    let limit = scene.listener.policy.timeouts.idle;
    scene
        .alarm
        .within(limit, sent)
        .await
        .map_err(|_| Reason::ClientStalled)??;
    Ok(Ended::Complete)
}

/// Whether the client's connection must not serve another request after this one.
fn must_close<C: Client>(scene: &Scene<'_>, client: &mut C, request: &RequestHead) -> bool {
    let mut noop = std::task::Context::from_waker(std::task::Waker::noop());
    let body_left = request.framing != head::Framing::None
        && !matches!(
            client.poll_body(&mut noop),
            std::task::Poll::Ready(Ok(Part::End))
        );
    // A reload may have taken the listener away since the connection came.
    let orphaned = scene.snapshot.listener(scene.listener.id).is_none();
    !request.keep_alive || body_left || orphaned || scene.worker.must_leave(scene.conn.asked)
}
