//! TLS with backends.

use std::path::PathBuf;
use std::sync::Arc;

use pointsman_config::policy::PoolTls;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Fault, TlsError, certified_key, read_chain};

/// Where systems keep the authorities that they trust; only for messages.
const SYSTEM: &str = "/etc/ssl/certs";

/// A client's side of TLS as the policy of a pool says: TLS 1.3 and 1.2, certificates verified unless it
/// says otherwise. Reads files.
///
/// # Errors
/// [`TlsError`] names the file at fault and what can be done about it.
pub fn client_config(tls: &PoolTls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(tls, &provider)?;
    let of_own = |fault| TlsError {
        file: tls
            .own
            .as_ref()
            .map_or_else(PathBuf::new, |own| own.cert.clone()),
        fault,
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| of_own(Fault::Unusable(error)))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let certified = Arc::new(certified_key(own, &provider)?);
            let shown = rustls::sign::SingleCertAndKey::from(certified);
            builder.with_client_cert_resolver(Arc::new(shown))
        }
    };
    Ok(Arc::new(config))
}

fn verifier(
    tls: &PoolTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if !tls.verify {
        let algorithms = provider.signature_verification_algorithms;
        return Ok(Arc::new(Anyone(algorithms)));
    }
    let of_ca = |fault| TlsError {
        file: tls.ca.clone().unwrap_or_else(|| SYSTEM.into()),
        fault,
    };
    let roots = match &tls.ca {
        Some(ca) => read_chain(ca).map_err(of_ca)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    // Systems trust authorities whose certificates not every library reads.
    let (read, unread) = store.add_parsable_certificates(roots);
    if read == 0 || unread > 0 && tls.ca.is_some() {
        return Err(of_ca(Fault::NoCertificate));
    }
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone());
    match built.build() {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(of_ca(Fault::Verifier(error.to_string()))),
    }
}

/// Accepts every certificate whose key the server has, where the operator wants that.
#[derive(Debug)]
pub(super) struct Anyone(pub(super) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
