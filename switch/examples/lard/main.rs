//! What `balance = "locality"` is for: a cluster of servers of which each has a cache that is far
//! smaller than the set of files, simulated as in Pai et al., "Locality-aware request distribution in
//! cluster-based network servers" (ASPLOS 1998, section 3), with the policies of the switch itself.
//!
//!     cargo run --release -p pointsman --example lard
//!
//! Costs are the paper's (see `node.rs`), the files are made up in the shape of its traces (see
//! `workload.rs`), and the front end lets in as many requests at a time as the paper's does. Time is
//! simulated and the seed is fixed: the table is the same on every machine.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod cache;
mod cluster;
mod node;
mod workload;

use std::time::Duration;

use pointsman_config::policy::{Balance, HashBy, Locality};

use self::cluster::{Outcome, run};
use self::workload::Workload;

/// The paper's thresholds, and the defaults of the switch.
pub(crate) const LOW: u32 = 25;
pub(crate) const HIGH: u32 = 65;

fn main() {
    let workload = Workload::new(37_703, 1_418_000_000, 0.9);
    println!(
        "{} files, {} MB, 32 MB of cache in each node; requests/s (hit rate)\n",
        workload.count(),
        workload.bytes() / 1_000_000
    );
    let policies = policies();
    let names: Vec<_> = policies.iter().map(|(name, _)| *name).collect();
    println!("| nodes | {} | locality / round-robin |", names.join(" | "));
    println!("|---|{}---|", "---|".repeat(names.len()));
    let mut loads = Vec::new();
    for nodes in [1, 2, 4, 8, 16] {
        let outcomes: Vec<_> = policies
            .iter()
            .map(|(_, policy)| run(&workload, policy, nodes))
            .collect();
        let cells: Vec<_> = outcomes.iter().map(cell).collect();
        let factor = outcomes[outcomes.len() - 1].throughput / outcomes[0].throughput;
        println!("| {nodes} | {} | {factor:.1} |", cells.join(" | "));
        loads.push((nodes, outcomes));
    }
    println!("\nRequests under way at the busiest node: most, and on average over the mean\n");
    println!("| nodes | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (nodes, outcomes) in loads.iter().filter(|(nodes, _)| *nodes > 1) {
        let cells: Vec<_> = outcomes
            .iter()
            .map(|outcome| format!("{}, {:.2}", outcome.most, outcome.imbalance))
            .collect();
        println!("| {nodes} | {} |", cells.join(" | "));
    }
}

fn cell(outcome: &Outcome) -> String {
    format!("{:.0} ({:.0} %)", outcome.throughput, outcome.hits * 100.0)
}

fn policies() -> [(&'static str, Balance); 5] {
    let hash = |bound| Balance::Hash {
        by: HashBy::Path,
        bound,
    };
    [
        ("round-robin", Balance::RoundRobin),
        ("least-request", Balance::LeastRequest),
        ("hash", hash(None)),
        ("hash, bound 25 %", hash(Some(0.25))),
        (
            "locality",
            Balance::Locality(Locality {
                by: HashBy::Path,
                low: LOW,
                high: HIGH,
                decay: Duration::from_secs(20),
                targets: 65_536,
            }),
        ),
    ]
}
