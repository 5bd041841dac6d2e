//! By which way each backend is checked: written by the keeper's thread, read by the reconciler.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::plan::Identity;
use crate::control::health::Via;

/// Where it is written.
#[derive(Debug, Default)]
pub struct Vias {
    known: Mutex<BTreeMap<Identity, Via>>,
    news: Notify,
}

impl Vias {
    /// These hold from now on. Who waits is told if they are others.
    pub fn write(&self, vias: BTreeMap<Identity, Via>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != vias {
            *known = vias;
            self.news.notify_one();
        }
    }

    /// The way of a backend's checks; `None`: the usual one.
    pub fn get(&self, identity: &Identity) -> Option<Via> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(identity).copied()
    }

    /// Waits until others hold. Safe to be cancelled.
    pub async fn changed(&self) {
        self.news.notified().await;
    }
}
