//! Whether all goes on as before, for clients and for both switches.

use std::fs;
use std::time::Duration;

use pointsman_deploy::lab::{KeepAlive, Outcome, Prober, Switch, wait_until};

use crate::stage::{Stage, group, metric, peer, target};

/// For an attempt: a segment that was lost would be sent again only after a second.
const LIMIT: Duration = Duration::from_millis(950);
/// What a process may grow by: what came before its first connections is not in its figures.
const MEMORY: u64 = 24 << 20;

/// Both switches, and clients that are served all the while.
pub struct Calm<'a> {
    stage: &'a Stage,
    switches: [&'a Switch; 2],
    before: [Figures; 2],
    memory: [u64; 2],
    prober: Prober,
    kept: KeepAlive,
}

/// What must not change.
#[derive(Debug, PartialEq)]
struct Figures {
    role: String,
    since: String,
    conflicts: f64,
    transitions: f64,
    losses: f64,
    /// Of each session that is open, since when.
    sessions: Vec<String>,
}

impl<'a> Calm<'a> {
    /// From now on.
    pub fn begin(stage: &'a Stage, a: &'a Switch, b: &'a Switch) -> Self {
        let prober = Prober::start_gently(&stage.client, target(), LIMIT, 1);
        let kept = KeepAlive::start(&stage.client, target(), 2, Duration::from_millis(20));
        wait_until("clients are served", || {
            kept.kept().requests > 5 && prober.record().answered_by().len() == 1
        });
        Self {
            stage,
            switches: [a, b],
            before: [a, b].map(figures),
            memory: [a, b].map(memory),
            prober,
            kept,
        }
    }

    /// Nothing has changed.
    #[track_caller]
    pub fn assert(&self, what: &str) {
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(self.stage.held(), (true, false), "{what}");
        for (switch, before) in self.switches.iter().zip(&self.before) {
            assert_eq!(figures(switch), *before, "{what}: {}", switch.log());
        }
        for (switch, before) in self.switches.iter().zip(&self.memory) {
            let now = memory(switch);
            assert!(now < before + MEMORY, "{what}: {before} bytes, then {now}");
        }
    }

    /// Clients were served all the while.
    #[track_caller]
    pub fn end(self, what: &str) {
        self.assert(what);
        let record = self.prober.stop();
        let failed: Vec<&Outcome> = record
            .attempts
            .iter()
            .map(|one| &one.outcome)
            .filter(|outcome| !matches!(outcome, Outcome::Ok(_)))
            .collect();
        assert!(failed.is_empty(), "{what}: {failed:?}");
        let kept = self.kept.stop();
        assert_eq!((kept.broken, kept.reconnections), (0, 0), "{what}");
    }
}

fn figures(switch: &Switch) -> Figures {
    let status = group(switch);
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    let up = |one: &serde_json::Value| one["state"] == "up";
    let session = peer(switch, up).map(|one| one["since"].to_string());
    Figures {
        role: text("role"),
        since: text("since"),
        conflicts: metric(switch, "pointsman_contact_conflicts_total", ""),
        transitions: metric(switch, "pointsman_contact_transitions_total", ""),
        losses: metric(switch, "pointsman_contact_peer_losses_total", ""),
        sessions: session.into_iter().collect(),
    }
}

/// Bytes of a process that are in memory.
fn memory(switch: &Switch) -> u64 {
    let file = format!("/proc/{}/statm", switch.pid().as_raw_nonzero());
    let text = fs::read_to_string(file).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
