//! Where policies come from, and what is loaded along with them.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_config::policy::{Policy, TlsFiles};
use pointsman_config::report::Report;

use super::Listeners;
use super::watch::Sources;
use crate::shared::InCommon;
use crate::snapshot::TlsConfigs;

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
        let mut tls = HashMap::new();
        for files in policy
            .listeners
            .iter()
            .filter_map(|listener| listener.tls.as_ref())
        {
            if !tls.contains_key(files) {
                let digest = digest(files);
                let config = L::tls(files, &common.tickets).map_err(Refused::Tls)?;
                tls.insert(files.clone(), Certificate { digest, config });
            }
        }
        Ok(Loaded {
            policy: Arc::new(policy),
            tls,
        })
    }
}

/// A policy that can be put into force.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its certificates.
    pub tls: HashMap<TlsFiles, Certificate>,
}

impl Loaded {
    /// Takes over from `previous` what terminates TLS with files whose content has not changed:
    /// its listeners stay the same, and sessions of clients without tickets stay good.
    pub fn keep(&mut self, previous: &HashMap<TlsFiles, Certificate>) {
        for (files, certificate) in &mut self.tls {
            match previous.get(files) {
                Some(before) if before.digest == certificate.digest => {
                    certificate.config = before.config.clone();
                }
                _ => {}
            }
        }
    }

    /// What it was made of: the policy's files and folders, certificates and keys.
    pub fn sources(&self) -> Sources {
        let tls = self
            .tls
            .keys()
            .flat_map(|files| [files.cert.clone(), files.key.clone()]);
        Sources {
            files: self.policy.sources.iter().cloned().chain(tls).collect(),
            folders: self.policy.folders.clone(),
        }
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
    config: Arc<rustls::ServerConfig>,
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
            | Self::Contact(message)
            | Self::Direct(message) => {
                format!("error: {message}\n")
            }
            Self::Ending => "error: the process is about to end\n".to_owned(),
        }
    }
}

/// `None` when the files cannot be read, and for equal files always the same.
fn digest(files: &TlsFiles) -> Option<u64> {
    let both = (
        std::fs::read(&files.cert).ok()?,
        std::fs::read(&files.key).ok()?,
    );
    Some(foldhash::quality::FixedState::with_seed(0).hash_one(both))
}
