//! TLS to a listener whose address is known: which certificate it shows is not what is looked at.

use pointsman_config::policy::PoolTls;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::data;

/// Takes any certificate whose key the server has.
const ANY: PoolTls = PoolTls {
    ca: None,
    name: None,
    verify: false,
    own: None,
};

/// Shakes hands, asking for this name.
pub(super) async fn connect(name: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let config = data::tls::client_config(&ANY).map_err(|error| error.to_string())?;
    let name = name.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|error| format!("the TLS handshake failed: {error}"))
}
