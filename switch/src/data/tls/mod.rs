//! TLS on the side of the clients (RFC 8446, RFC 5246).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_config::policy::TlsFiles;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig, sign};

use crate::shared::tickets::TicketKeys;

/// What is offered by ALPN (RFC 7301), the best first.
pub const ALPN: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];

/// Sessions that can be resumed by identifier, for clients without tickets.
const SESSIONS: usize = 4096;

/// A server's side of TLS with the certificate and key of `files`: TLS 1.3 and 1.2, session
/// tickets made with `tickets`, HTTP by ALPN, no early data (its requests could be replayed,
/// RFC 8470).
///
/// # Errors
/// [`TlsError`] names the file at fault and what can be done about it.
pub fn server_config(
    files: &TlsFiles,
    tickets: &Arc<TicketKeys>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certified = certified_key(files, &provider)?;
    let ticketer = tickets.ticketer(&certified.cert);
    let of_cert = |fault| TlsError {
        file: files.cert.clone(),
        fault,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| of_cert(Fault::Unusable(error)))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
    config.ticketer = ticketer;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
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
            Fault::Unusable(_) => "issue the certificate again as X.509 version 3",
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
