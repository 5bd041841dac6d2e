//! Which certificate a client is shown: by the host that it names (SNI, RFC 6066 3), and by the
//! kinds of signatures that it understands.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// What terminates TLS at a listener.
#[derive(Debug)]
pub struct Terminator {
    /// Offers HTTP by ALPN.
    pub http: Arc<ServerConfig>,
    /// Offers nothing by ALPN: what is spoken inside is between clients and backends.
    pub stream: Arc<ServerConfig>,
    /// What clients are shown.
    pub certificates: Arc<Certificates>,
    /// A request for a host of another certificate than the connection's is misdirected
    /// (RFC 9110 15.5.20).
    pub strict: bool,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    /// The chain and the key.
    pub certified: Arc<CertifiedKey>,
    /// The hosts that it is for, in lower case; the first label may be `*`.
    pub names: Vec<String>,
    /// When its validity ends, in seconds since 1970.
    pub not_after: i64,
    /// Where it was read.
    pub file: PathBuf,
}

/// Certificates by host names.
#[derive(Debug)]
pub struct Certificates {
    all: Vec<Certificate>,
    /// Places by name, in the order of `all`.
    by_name: HashMap<String, Vec<usize>>,
}

impl Certificates {
    /// At least one.
    pub fn new(all: Vec<Certificate>) -> Self {
        let mut by_name = HashMap::<String, Vec<usize>>::new();
        for (place, certificate) in all.iter().enumerate() {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(place);
            }
        }
        Self { all, by_name }
    }

    /// All of them.
    pub fn all(&self) -> &[Certificate] {
        &self.all
    }

    /// Whether one of them is for this host.
    pub fn has(&self, host: &str) -> bool {
        !self.places(host).is_empty()
    }

    /// Whether a connection that was opened for `sni` may carry requests for `host`: they have a
    /// certificate in common.
    pub fn are_one(&self, sni: &str, host: &str) -> bool {
        if sni.eq_ignore_ascii_case(host) {
            return true;
        }
        let shown = match self.places(sni) {
            [] => &[0],
            places => places,
        };
        let wanted = self.places(host);
        shown.iter().any(|place| wanted.contains(place))
    }

    /// A name that is written out goes before a wildcard, which stands for one label
    /// (RFC 9525 6.3).
    fn places(&self, host: &str) -> &[usize] {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || {
            let (_, rest) = host.split_once('.')?;
            self.by_name.get(&format!("*.{rest}"))
        };
        let found = self.by_name.get(&host).or_else(wildcard);
        found.map_or(&[], Vec::as_slice)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello
            .server_name()
            .map_or(&[][..], |name| self.places(name));
        let schemes = hello.signature_schemes();
        let named = named.iter().filter_map(|place| self.all.get(*place));
        // A client that none of a host's certificates suits is better shown another than none.
        let mut candidates = named.chain(&self.all);
        let fits = |one: &&Certificate| one.certified.key.choose_scheme(schemes).is_some();
        candidates.find(fits).map(|one| one.certified.clone())
    }
}
