//! The servers that agents have registered, as discovery sees them.

use pointsman_config::policy::Backend;
use tokio::sync::watch;

use super::Registrar;
use crate::control::discovery::{Source, Told};

/// The servers of one pool.
#[derive(Debug)]
pub struct Agents {
    registrar: Registrar,
    pool: String,
    changes: watch::Receiver<u64>,
    /// What was told last.
    last: Option<Vec<Backend>>,
}

impl Agents {
    /// Those that are registered for this pool.
    pub fn new(registrar: Registrar, pool: String) -> Self {
        let mut changes = registrar.0.changes.subscribe();
        changes.mark_changed();
        Self {
            registrar,
            pool,
            changes,
            last: None,
        }
    }

    async fn changed(&mut self) -> Vec<Backend> {
        loop {
            // The registrar is held here: its sender is there.
            let _ = self.changes.changed().await;
            let list = self.registrar.list(&self.pool).map(sorted);
            if let Some(list) = list.filter(|list| self.last.as_ref() != Some(list)) {
                self.last = Some(list.clone());
                return list;
            }
        }
    }
}

impl Source for Agents {
    fn next(&mut self) -> Told<'_> {
        Box::pin(async { Ok(self.changed().await) })
    }
}

fn sorted(mut list: Vec<Backend>) -> Vec<Backend> {
    list.sort_by(|one, other| one.addr.cmp(&other.addr));
    list
}
