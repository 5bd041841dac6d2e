//! What TLS tells of a client: the host that it named, which its requests have to be for, and the
//! certificate that it showed, of which backends hear.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::TlsStream;

use super::classify::split_port;
use super::head::RequestHead;
use crate::data::stream::Stream;
use crate::snapshot::ListenerSettings;

/// What TLS tells of the client of a connection.
#[derive(Debug, Default)]
pub struct Secured {
    /// The host that it named (SNI), where that matters.
    sni: Option<Box<str>>,
    /// The value of `Client-Cert` (RFC 9440 2.2), where clients are asked for certificates.
    certificate: Option<Box<str>>,
}

impl Secured {
    /// Nothing, unless the listener looks at what TLS tells.
    pub fn of(stream: &Stream, listener: &ListenerSettings) -> Self {
        let (Stream::Tls(tls), Some(terminator)) = (stream, &listener.tls) else {
            return Self::default();
        };
        if !terminator.strict {
            return Self::default();
        }
        let TlsStream::Server(tls) = &**tls else {
            return Self::default();
        };
        let session = tls.get_ref().1;
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        Self {
            sni: session.server_name().map(Box::from),
            certificate: certificate.map(|der| format!(":{}:", STANDARD.encode(der)).into()),
        }
    }

    /// The value of `Client-Cert` for backends.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Whether the request is for another host than the connection was opened for, and no certificate
    /// is for both of them (RFC 9110 7.4).
    pub fn misdirects(&self, request: &RequestHead, listener: &ListenerSettings) -> bool {
        let (Some(sni), Some(terminator)) = (&self.sni, &listener.tls) else {
            return false;
        };
        let authority = request.get(request.authority);
        if authority.is_empty() {
            return false;
        }
        let (host, _) = split_port(authority);
        let host = std::str::from_utf8(host);
        !host.is_ok_and(|host| terminator.certificates.are_one(sni, host))
    }
}
