//! `proxy_ssl_*`: how TLS is spoken with servers.

use super::super::word::Keys;

/// What holds for `proxy_pass https://...`.
#[derive(Debug, Clone, Default)]
pub(super) struct Backends {
    /// nginx takes any certificate, unless it is told otherwise.
    pub(super) verify: bool,
    given: Vec<(&'static str, String)>,
}

impl Backends {
    pub(super) fn set(&mut self, key: &'static str, value: &str) {
        self.given.retain(|(known, _)| *known != key);
        self.given.push((key, value.to_owned()));
    }

    /// Certificates must be for `host`, if nothing else is said.
    pub(super) fn tell(&self, pool: &mut Keys, host: &str) {
        if self.verify {
            pool.set(&["tls", "name"], host);
        } else {
            pool.set(&["tls", "verify"], false);
        }
        for (key, value) in &self.given {
            if self.verify || *key != "ca" {
                pool.set(&["tls", key], value.as_str());
            }
        }
    }
}
