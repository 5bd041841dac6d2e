use super::reader::Reader;
use crate::diagnostics::Diagnostics;
use crate::policy::{PoolLimit, Queue};
use crate::source::Value;

/// What an adaptive limit becomes at most, unless the policy says otherwise.
const MOST: u32 = 1000;

/// Decodes `limit` and `queue` of a pool; `None` where there is no limit.
pub(super) fn limit(pool: &Reader<'_>, d: &mut Diagnostics) -> Option<PoolLimit> {
    let queue = queue(&pool.settings(d, "queue"), d);
    let found = pool.find("limit")?;
    if found.node.value == Value::Boolean(false) {
        return None;
    }
    let section = found.key.kind.sections().into_iter().next()?;
    let reader = pool.table(d, "limit", section)?;
    let adaptive = reader.boolean(d, "adaptive").unwrap_or_default();
    let connections = reader.count(d, "connections");
    if !adaptive && connections.is_none() {
        reader.require(d, "requests");
    }
    let requests = reader.count(d, "requests").or(connections);
    Some(PoolLimit {
        // A connection serves one request at a time.
        requests: requests
            .unwrap_or(MOST)
            .min(connections.unwrap_or(u32::MAX)),
        connections,
        adaptive,
        queue,
    })
}

/// A `queue` of the pool itself says nothing without a limit; an inherited one is passed over.
pub(super) fn refuse_queue(pool: &Reader<'_>, d: &mut Diagnostics) {
    let limited = pool
        .find("limit")
        .is_some_and(|found| found.node.value != Value::Boolean(false));
    if let Some(found) = pool
        .find_own("queue")
        .filter(|_| !limited && !pool.is_partial())
    {
        d.error(
            found.key_place,
            "conflicting-keys",
            "`queue` says nothing without `limit`",
        )
        .help("say what a backend may have under way: limit = { requests = 100 }");
    }
}

fn queue(reader: &Reader<'_>, d: &mut Diagnostics) -> Queue {
    Queue {
        size: reader.count(d, "size").unwrap_or_default(),
        timeout: reader.duration(d, "timeout"),
    }
}
