//! Policies for tests.

use std::sync::Arc;

use pointsman_config::policy::Policy;

use super::agents::Registrar;
use super::source::Loaded;
use super::state::State;
use crate::metrics::Hub;

/// One listener, one route, and one pool `app` with active TCP checks.
pub(crate) fn policy(backends: &[&str]) -> Policy {
    let list: Vec<String> = backends
        .iter()
        .map(|backend| format!("{backend:?}"))
        .collect();
    let text = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n\
         [pool.app]\nhealth = {{ interval = \"1s\", timeout = \"500ms\" }}\nbackends = [{}]\n",
        list.join(", ")
    );
    Policy::from_toml(&text, std::path::Path::new("test.toml")).expect("the policy is right")
}

/// The same, loaded.
pub(crate) fn loaded(backends: &[&str]) -> Loaded {
    Loaded {
        policy: Arc::new(policy(backends)),
        tls: Default::default(),
        clients: Default::default(),
    }
}

/// Where no agent registers.
pub(crate) fn registrar() -> Registrar {
    let state = State::new(loaded(&["127.0.0.1:9"]), Hub::new(100));
    Registrar::new(state.hub().clone(), state.journal().clone(), state.source())
}
