//! Where policies come from, and what is loaded along with them.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_config::policy::{Policy, PoolTls, Tls};
use pointsman_config::report::Report;
use rustls::ClientConfig;

use super::Listeners;
use super::watch::Sources;
use crate::shared::InCommon;
use crate::snapshot::{Terminator, TlsConfigs};
use crate::trace;

const NO_EXPORT: &str = "trace.endpoint: this program was built without the feature `otlp` and \
    exports no spans: leave the key out, or build it with `--features otlp`";

/// Where policies come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file and what it includes.
    File(PathBuf),
    /// The command line.
    Simple {
        /// `--listen`
        listen: String,
        /// `--backend`
        backends: Vec<String>,
    },
}

impl Source {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Simple { .. } => None,
        }
    }

    /// Reads the policy and the certificates that it names. Blocks on files.
    ///
    /// # Errors
    /// Everything that is wrong with the policy, or the first certificate that cannot be used.
    pub fn load<L: Listeners>(&self, common: &InCommon) -> Result<Loaded, Refused> {
        let policy = match self {
            Self::File(path) => Policy::from_path(path),
            Self::Simple { listen, backends } => Policy::simple(listen, backends),
        };
        let policy = policy.map_err(Refused::Policy)?;
        let exports = policy
            .trace
            .as_ref()
            .is_some_and(|trace| trace.endpoint.is_some());
        if exports && !trace::EXPORTS {
            return Err(Refused::Trace(NO_EXPORT.to_owned()));
        }
        Loaded::new::<L>(Arc::new(policy), common)
    }
}

/// A policy that can be put into force.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its certificates.
    pub tls: HashMap<Tls, Certificate>,
    /// What speaks TLS with backends.
    pub clients: HashMap<PoolTls, Arc<ClientConfig>>,
}

impl Loaded {
    /// Reads the certificates of a policy. Blocks on files.
    ///
    /// # Errors
    /// The first certificate that cannot be used.
    pub fn new<L: Listeners>(policy: Arc<Policy>, common: &InCommon) -> Result<Self, Refused> {
        let listeners = policy.listeners.iter();
        let mut tls = HashMap::new();
        for wanted in listeners.filter_map(|listener| listener.tls.as_ref()) {
            if !tls.contains_key(wanted) {
                let digest = digest(wanted);
                let config = L::tls(wanted, &common.tickets).map_err(Refused::Tls)?;
                tls.insert(wanted.clone(), Certificate { digest, config });
            }
        }
        let pools = policy.pools.iter();
        let mut clients = HashMap::new();
        for wanted in pools.filter_map(|pool| pool.tls.as_ref()) {
            if !clients.contains_key(wanted) {
                let config = L::client_tls(wanted).map_err(Refused::Tls)?;
                clients.insert(wanted.clone(), config);
            }
        }
        Ok(Self {
            policy,
            tls,
            clients,
        })
    }

    /// Takes over from `previous` what terminates TLS with files whose content has not changed:
    /// its listeners stay the same, and sessions of clients without tickets stay good.
    pub fn keep(&mut self, previous: &HashMap<Tls, Certificate>) {
        for (files, certificate) in &mut self.tls {
            match previous.get(files) {
                Some(before) if before.digest == certificate.digest => {
                    certificate.config = before.config.clone();
                }
                _ => {}
            }
        }
    }

    /// Its certificates and keys, and what else TLS is terminated with.
    pub fn certificates(&self) -> Sources {
        let folders = self.tls.keys().filter_map(|tls| tls.folder.clone());
        let served = self.tls.keys().flat_map(files);
        let asked = self.clients.keys().flat_map(|tls| {
            let own = tls.own.iter().flat_map(|own| [&own.cert, &own.key]);
            tls.ca.iter().chain(own).cloned()
        });
        Sources {
            files: served.chain(asked).collect(),
            folders: folders.collect(),
        }
    }

    /// All that it was made of: the policy's files and folders, and the certificates.
    pub fn sources(&self) -> Sources {
        let mut all = self.certificates();
        all.files.extend_from_slice(&self.policy.sources);
        all.folders.extend_from_slice(&self.policy.folders);
        all
    }

    /// What terminates TLS, by files.
    pub fn configs(&self) -> TlsConfigs {
        let all = self.tls.iter();
        all.map(|(files, certificate)| (files.clone(), certificate.config.clone()))
            .collect()
    }
}

/// What terminates TLS, and the digest of the files it was made of.
#[derive(Debug, Clone)]
pub struct Certificate {
    digest: Option<u64>,
    config: Arc<Terminator>,
}

/// Why a policy did not come into force.
#[derive(Debug, Clone)]
pub enum Refused {
    /// What is wrong with it.
    Policy(Report),
    /// A certificate or key cannot be used.
    Tls(String),
    /// An address cannot be listened on.
    Bind(String),
    /// Spans cannot be exported.
    Trace(String),
    /// A contact address cannot be kept.
    Contact(String),
    /// Direct return is not possible, and no fallback is allowed.
    Direct(String),
    /// The process is about to end.
    Ending,
}

impl Refused {
    /// In words for the operator, ending in a newline.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Policy(report) => {
                let text = report.render_text(color);
                if text.ends_with('\n') {
                    text
                } else {
                    text + "\n"
                }
            }
            Self::Tls(message)
            | Self::Bind(message)
            | Self::Trace(message)
            | Self::Contact(message)
            | Self::Direct(message) => {
                format!("error: {message}\n")
            }
            Self::Ending => "error: the process is about to end\n".to_owned(),
        }
    }
}

/// Everything that TLS is terminated with.
fn files(tls: &Tls) -> Vec<PathBuf> {
    let certs = tls.files().unwrap_or_default().into_iter();
    let certs = certs.flat_map(|files| [files.cert, files.key]);
    let clients = tls.clients.iter();
    let clients = clients.flat_map(|clients| iter::once(&clients.ca).chain(&clients.crl).cloned());
    certs.chain(clients).collect()
}

/// `None` when the files cannot be read, and for equal files always the same.
fn digest(tls: &Tls) -> Option<u64> {
    let files = files(tls);
    let contents = files
        .iter()
        .map(|file| Some((file, std::fs::read(file).ok()?)));
    let contents = contents.collect::<Option<Vec<_>>>()?;
    Some(foldhash::quality::FixedState::with_seed(0).hash_one(contents))
}
