//! A TCP listener's connection: a backend is chosen once, and bytes go both ways until the end.

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use pointsman_config::policy::HashBy;

use super::proxy::{self, Early, End, Limits, Meter, Outcome};
use crate::balance::{Tried, hash_bytes};
use crate::data::place::Wanted;
use crate::data::stream::Stream;
use crate::data::upstream::{self, Connection};
use crate::data::verdict;
use crate::data::worker::Worker;
use crate::endpoint::{Endpoint, InFlight};
use crate::error::{Reason, Side};
use crate::event::Event;
use crate::pool::Pool;
use crate::snapshot::ListenerSettings;

/// Backends that a connection is tried on at most.
const ATTEMPTS: usize = 3;

/// Forwards a connection to a backend of the listener's pool.
pub async fn serve(
    worker: Rc<Worker>,
    listener: Arc<ListenerSettings>,
    client: Stream,
    peer: IpAddr,
) {
    let snapshot = worker.snapshots.load();
    // The pool's place is the snapshot's: a reload may have moved it since the connection came.
    let settings = snapshot.listener(listener.id).unwrap_or(&listener);
    let Some(pool) = settings
        .pool
        .and_then(|place| snapshot.pools.get(place))
        .cloned()
    else {
        return client.reset();
    };
    drop(snapshot);
    let Some((connection, entered)) = Box::pin(connect(&worker, &pool, &client, peer)).await else {
        return client.reset();
    };
    let limits = Limits {
        idle: listener.policy.timeouts.tunnel,
    };
    let meter = Bytes {
        worker: &worker,
        listener: listener.id,
        endpoint: entered.endpoint(),
        answered: Cell::new(false),
    };
    let up = connection.stream;
    let line = worker.lines.enter(entered.endpoint());
    let forwarded = pin!(proxy::forward(
        client,
        up,
        Early::default(),
        &limits,
        &meter
    ));
    let outcome = line.unless_cut(forwarded).await;
    if outcome.as_ref().is_some_and(broke_off_at_once) {
        verdict::failed(&worker, &pool, entered.endpoint(), Reason::Reset);
    }
    tracing::trace!(?outcome, "a forwarded connection ended");
}

/// The backend took the connection only to reset it.
fn broke_off_at_once(outcome: &Outcome) -> bool {
    let by_backend = matches!(outcome.end, End::Broken { side, .. } if side == Side::Endpoint);
    by_backend && outcome.to_client == 0
}

/// A connection to the first backend that takes one.
async fn connect(
    worker: &Worker,
    pool: &Arc<Pool>,
    client: &Stream,
    peer: IpAddr,
) -> Option<(Connection, InFlight)> {
    let hash = match &pool.hash_by {
        Some(HashBy::ClientIp) => Some(match peer {
            IpAddr::V4(ip) => hash_bytes(&ip.octets()),
            IpAddr::V6(ip) => hash_bytes(&ip.octets()),
        }),
        _ => None,
    };
    let alarm = worker.timer.alarm();
    let mut tried = Tried::default();
    while tried.len() < ATTEMPTS {
        let wanted = Wanted {
            pool,
            home: None,
            hash,
            tried: &tried,
        };
        let entered = match wanted.now(worker) {
            Ok(entered) => entered,
            Err(false) => return None,
            Err(true) => {
                let gone =
                    |cx: &mut Context<'_>| client.poll_gone(cx).map(|()| Reason::ClientClosed);
                wanted.wait(worker, &alarm, None, gone).await.ok()?
            }
        };
        let endpoint = entered.endpoint().clone();
        tried.insert(endpoint.id);
        let began = Instant::now();
        match upstream::connect(&endpoint, pool.connect_timeout, &alarm).await {
            Ok(connection) => {
                let took = began.elapsed();
                worker.shard.connect(pool.id, &endpoint, took);
                pool.connected(&endpoint, took);
                return Some((connection, entered));
            }
            Err(reason) => {
                worker.shard.attempt(&endpoint, None, began.elapsed(), None);
                pool.failed(&endpoint, began.elapsed());
                verdict::failed(worker, pool, &endpoint, reason);
                worker
                    .events
                    .send(Event::EndpointFailed { endpoint, reason });
            }
        }
    }
    None
}

/// Counts bytes in the worker's shard, and knows a backend that answers.
struct Bytes<'a> {
    worker: &'a Worker,
    listener: u32,
    endpoint: &'a Endpoint,
    answered: Cell<bool>,
}

impl Meter for Bytes<'_> {
    fn to_upstream(&self, bytes: u64) {
        self.worker.shard.tcp_bytes(self.listener, bytes, 0);
    }

    fn to_client(&self, bytes: u64) {
        self.worker.shard.tcp_bytes(self.listener, 0, bytes);
        if !self.answered.replace(true) {
            self.endpoint.errors.went_well();
        }
    }
}
