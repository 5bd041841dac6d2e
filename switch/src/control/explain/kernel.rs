//! Which backend of a direct pool gets a client's packets: the kernel itself is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pointsman_config::policy::Service;

use super::answer::PoolAnswer;
use super::{Look, Question};
use crate::control::direct::face::Found;
use crate::control::direct::plan;
use crate::snapshot::ListenerSettings;

/// Where nobody can be asked.
const NO_PORT: &str =
    "which one depends on the client's address and port: --client 198.51.100.7:40000";

impl Look {
    /// Puts the kernel's answer in place of what a proxy would choose.
    pub(super) fn ask_kernel(&self, question: &Question, listener: &str, pool: &mut PoolAnswer) {
        let shares = self.shares_of_rings(pool);
        for (backend, share) in pool.backends.iter_mut().zip(shares) {
            backend.share = share;
            if share > 0.0 {
                backend.why = "it has its part of the ring".to_owned();
            }
        }
        pool.chosen = None;
        let Some((client, service)) = self.asked(question, listener) else {
            pool.hash = Some(NO_PORT.to_owned());
            return;
        };
        let key = plan::key(service.address, service.transport);
        let looked = self
            .direct
            .as_ref()
            .and_then(|direct| direct.lookup(key, client));
        match looked {
            Some(Ok(Some((_, name, found)))) => {
                pool.hash = Some(format!("{client} to {key}: {}", word(found)));
                pool.chosen = Some(name);
            }
            Some(Ok(None)) => pool.hash = Some(format!("{client} to {key}: nobody can take it")),
            Some(Err(error)) => pool.hash = Some(format!("the kernel does not tell: {error}")),
            None => pool.hash = Some("the kernel cannot be asked: nothing runs".to_owned()),
        }
        for backend in &mut pool.backends {
            if let Some(chosen) = &pool.chosen {
                backend.share = f64::from(u8::from(backend.name == *chosen));
            }
        }
    }

    /// The listener whose service the URL names.
    pub(super) fn direct_listener(
        &self,
        question: &Question,
        port: u16,
    ) -> Option<&Arc<ListenerSettings>> {
        let address = SocketAddr::new(host(question)?, port);
        let services = self.policy.services();
        let service = services.iter().find(|service| service.address == address)?;
        let mut all = self.snapshot.listeners.iter();
        all.find(|one| one.policy.name == service.listener)
    }

    /// Shares of those that take new flows, by weight.
    fn shares_of_rings(&self, pool: &PoolAnswer) -> Vec<f64> {
        let mut pools = self.snapshot.pools.iter();
        let built = pools.find(|built| built.name == pool.name);
        let weight = |name: &str| {
            let mut candidates = built.iter().flat_map(|built| &built.candidates);
            let found = candidates.find(|candidate| candidate.endpoint.name == name);
            found.map_or(0.0, |candidate| f64::from(candidate.weight))
        };
        let weights: Vec<f64> = pool.backends.iter().map(|one| weight(&one.name)).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum.max(1.0)).collect()
    }

    /// The client and the service that is meant: the one that the URL names, or the listener's first of
    /// the client's family.
    fn asked(&self, question: &Question, listener: &str) -> Option<(SocketAddr, Service)> {
        let client = SocketAddr::new(question.client?, question.client_port?);
        let host = host(question);
        let services = self.policy.services();
        let own = || {
            let own = services.iter().filter(|one| one.listener == listener);
            own.filter(|one| one.address.is_ipv4() == client.is_ipv4())
        };
        let named = own().find(|one| Some(one.address.ip()) == host);
        named
            .or_else(|| own().next())
            .map(|service| (client, service.clone()))
    }
}

/// The URL's host, where that is an address.
fn host(question: &Question) -> Option<IpAddr> {
    let host = question.url.host()?;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

fn word(found: Found) -> &'static str {
    match found {
        Found::Table => "the kernel remembers this connection",
        Found::Ring => "the hash of both leads there",
    }
}
