use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

/// How TLS is spoken with an endpoint, if it is.
#[derive(Debug, Default)]
pub struct Tls {
    /// The host that the policy writes it by, if it is a name.
    host: OnceLock<String>,
    /// Writer: the reconciler.
    side: ArcSwapOption<TlsSide>,
}

/// This side of TLS.
#[derive(Debug)]
pub struct TlsSide {
    /// Whom it trusts, and what it shows.
    pub config: Arc<ClientConfig>,
    /// Whom it asks for and expects.
    pub name: ServerName<'static>,
}

impl Tls {
    /// The host that the policy writes the endpoint by, if it is a name.
    pub fn host(&self) -> Option<&str> {
        self.host.get().map(String::as_str)
    }

    /// Notes the host; for whoever makes the endpoint.
    pub fn set_host(&self, host: String) {
        let _ = self.host.set(host);
    }

    /// This side of it; `None`: bytes go as they are.
    pub fn side(&self) -> Option<Arc<TlsSide>> {
        self.side.load_full()
    }

    /// Whether bytes go encrypted.
    pub fn is_on(&self) -> bool {
        self.side.load().is_some()
    }

    /// Whether this side is still the one that counts.
    pub fn is_side(&self, side: Option<&Arc<TlsSide>>) -> bool {
        self.side.load().as_ref().map(Arc::as_ptr) == side.map(Arc::as_ptr)
    }

    /// For the reconciler alone.
    pub fn set_side(&self, side: Option<TlsSide>) {
        self.side.store(side.map(Arc::new));
    }
}
