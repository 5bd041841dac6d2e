//! TLS with clients ([`terminator`]) and with backends ([`client_config`]) (RFC 8446, RFC 5246).

mod backends;

use std::fmt;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_config::policy::{Tls, TlsClients, TlsFiles};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

pub use self::backends::client_config;
use crate::shared::tickets::TicketKeys;
use crate::snapshot::{Certificate, Certificates, Terminator};

/// What is offered by ALPN (RFC 7301), the best first.
pub const ALPN: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];

/// Sessions that can be resumed by identifier, for clients without tickets.
const SESSIONS: usize = 4096;

/// A server's side of TLS as `tls` says: TLS 1.3 and 1.2, session tickets made with `tickets`, HTTP
/// by ALPN, no early data (its requests could be replayed, RFC 8470). Reads files.
///
/// # Errors
/// [`TlsError`] names the file at fault and what can be done about it.
pub fn terminator(tls: &Tls, tickets: &Arc<TicketKeys>) -> Result<Arc<Terminator>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificates = Arc::new(certificates(tls, &provider)?);
    let clients = match &tls.clients {
        None => None,
        Some(clients) => Some(Clients::read(clients)?),
    };
    let chains = certificates.all().iter();
    let chains = chains
        .flat_map(|one| &one.certified.cert)
        .map(AsRef::as_ref);
    let parts = chains.chain(clients.iter().flat_map(Clients::parts));
    let ticketer = tickets.ticketer(parts);
    let of_cert = |fault| TlsError {
        file: certificates.all()[0].file.clone(),
        fault,
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| of_cert(Fault::Unusable(error)))?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(clients.verifier(provider)?),
    };
    let mut stream = builder.with_cert_resolver(certificates.clone());
    stream.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
    stream.ticketer = ticketer;
    stream.max_early_data_size = 0;
    let mut http = stream.clone();
    http.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(Terminator {
        http: Arc::new(http),
        stream: Arc::new(stream),
        strict: tls.clients.is_some() || tls.folder.is_some() || certificates.all().len() > 1,
        certificates,
    }))
}

fn certificates(tls: &Tls, provider: &CryptoProvider) -> Result<Certificates, TlsError> {
    let of_folder = |fault| TlsError {
        file: tls.folder.clone().unwrap_or_default(),
        fault,
    };
    let files = tls.files();
    let files = files.map_err(|error| of_folder(Fault::Unreadable(error)))?;
    let all = files.iter().map(|files| certificate(files, provider));
    let all = all.collect::<Result<Vec<_>, _>>()?;
    match all.is_empty() {
        true => Err(of_folder(Fault::EmptyFolder)),
        false => Ok(Certificates::new(all)),
    }
}

fn certificate(files: &TlsFiles, provider: &CryptoProvider) -> Result<Certificate, TlsError> {
    let certified = certified_key(files, provider)?;
    let of_cert = |fault| TlsError {
        file: files.cert.clone(),
        fault,
    };
    let leaf = certified.end_entity_cert();
    let leaf = leaf.map_err(|error| of_cert(Fault::Unusable(error)))?;
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| of_cert(Fault::NotX509(error.to_string())))?;
    Ok(Certificate {
        names: names(&leaf),
        not_after: leaf.validity().not_after.timestamp(),
        file: files.cert.clone(),
        certified: Arc::new(certified),
    })
}

/// The hosts that a certificate is for; its common name only counts where it names no others
/// (RFC 9525 does without, but certificates made by hand still do not).
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let others = leaf.subject_alternative_name().ok().flatten();
    let others = others.iter().flat_map(|others| &others.value.general_names);
    let names = others.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    if !names.is_empty() {
        return names;
    }
    let common = leaf.subject().iter_common_name();
    let common = common.filter_map(|name| name.as_str().ok());
    common.map(str::to_ascii_lowercase).collect()
}

/// What is read of those that clients' certificates are held against.
struct Clients<'a> {
    policy: &'a TlsClients,
    roots: Vec<CertificateDer<'static>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
}

impl<'a> Clients<'a> {
    fn read(policy: &'a TlsClients) -> Result<Self, TlsError> {
        let mut revoked = Vec::new();
        for file in &policy.crl {
            let lists = CertificateRevocationListDer::pem_file_iter(file);
            let lists = lists.and_then(Iterator::collect::<Result<Vec<_>, _>>);
            revoked.extend(lists.map_err(|error| TlsError {
                file: file.clone(),
                fault: Fault::from_pem(error),
            })?);
        }
        let roots = read_chain(&policy.ca).map_err(|fault| TlsError {
            file: policy.ca.clone(),
            fault,
        })?;
        Ok(Self {
            policy,
            roots,
            revoked,
        })
    }

    /// What a session depends on.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mode: &[u8] = if self.policy.optional {
            b"optional"
        } else {
            b"required"
        };
        let roots = self.roots.iter().map(AsRef::as_ref);
        let revoked = self.revoked.iter().map(AsRef::as_ref);
        iter::once(mode).chain(roots).chain(revoked)
    }

    fn verifier(
        self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let of_ca = |fault| TlsError {
            file: self.policy.ca.clone(),
            fault,
        };
        let mut roots = RootCertStore::empty();
        for root in self.roots {
            let added = roots.add(root);
            added.map_err(|error| of_ca(Fault::Unusable(error)))?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(self.revoked);
        if self.policy.optional {
            builder = builder.allow_unauthenticated();
        }
        let built = builder.build();
        built.map_err(|error| of_ca(Fault::Verifier(error.to_string())))
    }
}

fn certified_key(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let of_cert = |fault| TlsError {
        file: files.cert.clone(),
        fault,
    };
    let of_key = |fault| TlsError {
        file: files.key.clone(),
        fault,
    };
    let chain = read_chain(&files.cert).map_err(of_cert)?;
    let key = read_key(&files.key).map_err(of_key)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| of_key(Fault::UnknownKey(error)))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(of_key(Fault::Mismatch {
            cert: files.cert.clone(),
        })),
        Err(error) => Err(of_cert(Fault::Unusable(error))),
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(Fault::from_pem)?;
    if chain.is_empty() {
        return Err(Fault::NoCertificate);
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(path) => Fault::EncryptedKey,
        pem::Error::NoItemsFound => Fault::NoKey,
        // The traditional form has a header within the section, which is not base64.
        pem::Error::Base64Decode(_) if is_encrypted(path) => Fault::EncryptedKey,
        other => Fault::from_pem(other),
    })
}

/// Whether the file holds a key under a pass phrase: PKCS #8 (RFC 5958) or the traditional form
/// (RFC 1421 4.6.1.1).
fn is_encrypted(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|content| {
        let text = String::from_utf8_lossy(&content);
        text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
    })
}

/// A certificate or key that cannot be used.
#[derive(Debug)]
pub struct TlsError {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a certificate or key file.
#[derive(Debug)]
pub enum Fault {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is not well-formed PEM (RFC 7468).
    NotPem(pem::Error),
    /// No certificate is in it.
    NoCertificate,
    /// The folder has no certificates.
    EmptyFolder,
    /// The certificate is not well-formed.
    NotX509(String),
    /// Certificates cannot be verified by it.
    Verifier(String),
    /// No private key is in it.
    NoKey,
    /// The private key is under a pass phrase.
    EncryptedKey,
    /// The private key is of a kind that is not supported.
    UnknownKey(rustls::Error),
    /// The private key does not belong to the certificate.
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
    },
    /// TLS refuses it for another reason.
    Unusable(rustls::Error),
}

impl Fault {
    fn from_pem(error: pem::Error) -> Self {
        match error {
            pem::Error::Io(error) => Fault::Unreadable(error),
            other => Fault::NotPem(other),
        }
    }

    /// What the operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Fault::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "make the file readable for the user that the switch runs as"
            }
            Fault::Unreadable(_) => "check the path; relative paths start at the policy file",
            Fault::NotPem(_) => {
                "export it again as PEM; DER is made PEM by `openssl x509 -inform der -in FILE`"
            }
            Fault::NoCertificate => {
                "it must hold \"-----BEGIN CERTIFICATE-----\": the server's own certificate first, \
                 then the intermediate ones; are cert and key swapped?"
            }
            Fault::NoKey => {
                "it must hold \"-----BEGIN PRIVATE KEY-----\"; are cert and key swapped?"
            }
            Fault::EncryptedKey => {
                "a server starts without anybody to type a pass phrase: write the key without one \
                 by `openssl pkey -in FILE -out NEW` and make NEW readable for the switch alone"
            }
            Fault::UnknownKey(_) => {
                "use an ECDSA key (P-256, P-384, P-521), an Ed25519 key or an RSA key of 2048 bits \
                 or more"
            }
            Fault::Mismatch { .. } => {
                "name the key that the certificate was requested with, and put the server's own \
                 certificate first in its file"
            }
            Fault::EmptyFolder => {
                "put certificates there: NAME.pem with NAME.key, or a folder for each as certbot has \
                 them (fullchain.pem, privkey.pem)"
            }
            Fault::NotX509(_) | Fault::Unusable(_) => {
                "issue the certificate again as X.509 version 3"
            }
            Fault::Verifier(_) => {
                "name the authorities' certificates in `ca`, and lists of theirs that are in force in \
                 `crl`"
            }
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match &self.fault {
            Fault::Unreadable(error) => write!(f, "cannot be read: {error}")?,
            Fault::NotPem(error) => write!(f, "is not valid PEM: {error}")?,
            Fault::NoCertificate => write!(f, "holds no certificate")?,
            Fault::EmptyFolder => write!(f, "holds no certificates")?,
            Fault::NotX509(error) => write!(f, "is no certificate: {error}")?,
            Fault::Verifier(error) => write!(f, "nothing can be verified by it: {error}")?,
            Fault::NoKey => write!(f, "holds no private key")?,
            Fault::EncryptedKey => write!(f, "the private key is encrypted")?,
            Fault::UnknownKey(error) => write!(f, "the private key cannot be used: {error}")?,
            Fault::Mismatch { cert } => {
                write!(f, "the private key does not belong to {}", cert.display())?;
            }
            Fault::Unusable(error) => write!(f, "cannot be used: {error}")?,
        }
        write!(f, "; {}", self.fault.remedy())
    }
}

impl std::error::Error for TlsError {}

#[cfg(test)]
mod tests;
