//! Metrics: one table ([`table()`]), one hub ([`Hub`]) that knows the names and answers scrapes, and
//! one [`Shard`] per worker that is written without locks and without locked instructions.
//!
//! A shard's counters have one writer, so that an increment is a plain load and store. The hub adds
//! the shards up when somebody asks. Series are bounded: labels come from configured names alone,
//! and a family that reaches its cap takes no further label combinations.

mod agents;
mod block;
mod collect;
mod contact;
mod control;
mod direct;
mod discovery;
mod hub;
mod label;
mod names;
mod open_metrics;
mod process;
mod sample;
mod series;
mod shard;
mod sums;
mod table;
#[cfg(test)]
mod tests;
mod totals;

pub use agents::AGENT_STATES;
pub use contact::{
    AddressFigures, ContactFigures, LoopDelay, PeerFigures, ROLES, Tally, address_label,
};
pub use direct::{DirectBackend, DirectFigures, DirectService, Passed};
pub use hub::{Hub, Watched};
pub use label::{Delta, Method, Protocol, RequestDone};
pub use sample::{BackendSample, Counted, ListenerSample, Sample};
pub use shard::Shard;
pub use table::{Kind, Metric, reference_markdown, table};
pub use totals::{BackendTotals, Classes, ListenerTotals, RouteTotals, Totals};
