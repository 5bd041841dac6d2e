//! How TLS is spoken with the members of pools.

use std::sync::Arc;

use pointsman_config::policy::Pool;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::control::source::Loaded;
use crate::endpoint::{Address, Endpoint, TlsSide};
use crate::pool::Member;

/// Tells the members of every pool, in the order of the policy.
pub(super) fn secure(loaded: &Loaded, members: &[Vec<Member>]) {
    for (pool, members) in loaded.policy.pools.iter().zip(members) {
        let config = pool.tls.as_ref().and_then(|tls| loaded.clients.get(tls));
        for Member { endpoint, .. } in members {
            match config {
                None if endpoint.tls.is_on() => endpoint.tls.set_side(None),
                Some(config) if !is_so(endpoint, config) => {
                    endpoint.tls.set_side(side(pool, endpoint, config));
                }
                _ => {}
            }
        }
    }
}

fn is_so(endpoint: &Endpoint, config: &Arc<ClientConfig>) -> bool {
    let side = endpoint.tls.side();
    side.is_some_and(|side| Arc::ptr_eq(&side.config, config))
}

fn side(pool: &Pool, endpoint: &Endpoint, config: &Arc<ClientConfig>) -> Option<TlsSide> {
    let given = pool.tls.as_ref().and_then(|tls| tls.name.as_deref());
    let Address::Tcp(socket) = &endpoint.address else {
        return None;
    };
    let written = given.or_else(|| endpoint.tls.host());
    let written = written.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    // Whatever the name is, nothing goes unencrypted.
    let name = written.unwrap_or_else(|| ServerName::from(socket.ip()));
    Some(TlsSide {
        config: config.clone(),
        name,
    })
}
