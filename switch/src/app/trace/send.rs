//! Sending the request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use pointsman_config::policy::BindAddr;
use pointsman_config::value::parse_bind;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::tls;
use crate::args;
use crate::control::explain::WatchPlace;

/// For the connection.
const CONNECT: Duration = Duration::from_secs(5);
/// For all of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the client saw. Times are seconds since it began to connect.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Where it connected.
    pub(super) address: String,
    /// When there was a connection, TLS included.
    pub(super) connected: f64,
    /// When the head of the answer was there.
    pub(super) head: f64,
    /// When all of it was there.
    pub(super) end: f64,
    /// The status.
    pub(super) status: u16,
    /// The length of the content.
    pub(super) bytes: u64,
    /// Whether it was cut off.
    pub(super) is_cut: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    /// In words.
    pub(super) why: String,
    /// Whether the switch may have got the request.
    pub(super) was_sent: bool,
}

impl<S: ToString> From<S> for Unanswered {
    fn from(why: S) -> Self {
        Self {
            why: why.to_string(),
            was_sent: false,
        }
    }
}

/// Sends the request to the switch, whose admin interface is at `host`.
///
/// # Errors
/// What is wrong with it, or why there is no answer.
pub(super) fn send(
    args: &args::Trace,
    place: &WatchPlace,
    host: Option<IpAddr>,
) -> Result<Seen, Unanswered> {
    let url: Uri = args.url.parse()?;
    let request = request(args, place, &url)?;
    let address = match &args.connect {
        Some(address) => address.clone(),
        None => {
            let first = place.addresses.first();
            first.cloned().ok_or("the listener has no address now")?
        }
    };
    let tls = url.host().filter(|_| place.tls);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let sent = exchange(&address, tls, host, request);
        let sent = tokio::time::timeout(PATIENCE, sent).await;
        let late = |_| {
            Err(Unanswered {
                why: format!("no answer within {PATIENCE:?}"),
                was_sent: true,
            })
        };
        sent.unwrap_or_else(late).map_err(|failure| Unanswered {
            why: format!("{address}: {}", failure.why),
            ..failure
        })
    })
}

fn request(
    args: &args::Trace,
    place: &WatchPlace,
    url: &Uri,
) -> Result<Request<Full<Bytes>>, String> {
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let data = args.data.clone().unwrap_or_default();
    let request = Request::builder().method(args.method.as_str()).uri(target);
    let request = request.body(Full::new(Bytes::from(data)));
    let mut request = request.map_err(|error| error.to_string())?;
    let fields = request.headers_mut();
    let mut given = args.header.clone();
    given.push(format!("{}: {}", place.field, place.token));
    for field in &given {
        let (name, value) = field
            .split_once(':')
            .ok_or("write a field as \"name: value\"")?;
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        let value = HeaderValue::from_str(value.trim());
        let name = name.map_err(|error| format!("{field}: {error}"))?;
        fields.append(name, value.map_err(|error| format!("{field}: {error}"))?);
    }
    let usual = [
        (HOST, url.authority().map_or("", |one| one.as_str())),
        (USER_AGENT, concat!("pointsman/", env!("CARGO_PKG_VERSION"))),
    ];
    for (name, value) in usual {
        if !fields.contains_key(&name) {
            let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
            fields.insert(name, value);
        }
    }
    Ok(request)
}

async fn exchange(
    address: &str,
    tls: Option<&str>,
    host: Option<IpAddr>,
    request: Request<Full<Bytes>>,
) -> Result<Seen, Unanswered> {
    let began = Instant::now();
    match (parse_bind(address).map_err(|unfit| unfit.message)?, tls) {
        (BindAddr::Unix(path), _) => {
            let stream = UnixStream::connect(path).await?;
            ask(stream, began, address, request).await
        }
        (BindAddr::Any(port), tls) => {
            let socket = SocketAddr::new(host.unwrap_or(Ipv4Addr::LOCALHOST.into()), port);
            over_tcp(socket, tls, began, request).await
        }
        (BindAddr::Socket(socket), tls) => {
            let here: IpAddr = host.unwrap_or(match socket {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
            let socket = match socket.ip().is_unspecified() {
                true => SocketAddr::new(here, socket.port()),
                false => socket,
            };
            over_tcp(socket, tls, began, request).await
        }
    }
}

async fn over_tcp(
    socket: SocketAddr,
    tls: Option<&str>,
    began: Instant,
    request: Request<Full<Bytes>>,
) -> Result<Seen, Unanswered> {
    let address = socket.to_string();
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(socket)).await;
    let stream = stream.map_err(|_| format!("no connection within {CONNECT:?}"))?;
    let stream = stream?;
    let _ = stream.set_nodelay(true);
    match tls {
        None => ask(stream, began, &address, request).await,
        Some(name) => {
            let stream = tls::connect(name, stream).await?;
            ask(stream, began, &address, request).await
        }
    }
}

async fn ask<S>(
    stream: S,
    began: Instant,
    address: &str,
    request: Request<Full<Bytes>>,
) -> Result<Seen, Unanswered>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = began.elapsed().as_secs_f64();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| Unanswered {
        why: format!("no answer: {error}"),
        was_sent: true,
    })?;
    let head = began.elapsed().as_secs_f64();
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let (mut bytes, mut is_cut) = (0, false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(_) => is_cut = true,
        }
    }
    let end = began.elapsed().as_secs_f64();
    connection.abort();
    Ok(Seen {
        address: address.to_owned(),
        connected,
        head,
        end,
        status,
        bytes,
        is_cut,
    })
}
