//! One check of one endpoint over the network. Nothing the endpoint sends is kept beyond
//! [`MAX_BODY`].

mod grpc;
mod script;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use pointsman_config::policy::Check;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::endpoint::{Address, Load, TlsSide, clock};

/// Bytes of the answer's body that are looked at.
pub const MAX_BODY: usize = 64 << 10;
/// How long the rest of an answer is read when only its head matters: some servers log an error
/// when their answer is cut off.
const COURTESY: Duration = Duration::from_millis(20);

/// Another way to an endpoint than the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By a route of its own, to another address than the endpoint's.
    Route {
        /// Of the connection's packets (SO_MARK), by which they find that route.
        mark: u32,
        /// Where to connect.
        to: SocketAddr,
    },
    /// From this address of the host, whichever it would choose.
    From(IpAddr),
}

impl Via {
    /// The same to this port.
    pub fn at(self, port: u16) -> Self {
        match self {
            Self::Route { mark, to } => Self::Route {
                mark,
                to: SocketAddr::new(to.ip(), port),
            },
            Self::From(_) => self,
        }
    }
}

/// How far a probe has come, for when it is given up.
#[derive(Debug, Default)]
pub struct Progress {
    connected: AtomicBool,
    lacks: Mutex<Option<String>>,
}

impl Progress {
    /// Whether a connection stands.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// What is still waited for, in words for the operator, if the probe knows more than that it
    /// is an answer.
    pub fn lacks(&self) -> Option<String> {
        let lacks = self.lacks.lock().unwrap_or_else(PoisonError::into_inner);
        lacks.clone()
    }

    fn waits_for(&self, lacks: String) {
        *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = Some(lacks);
    }
}

/// Asks the endpoint, and notes its progress; sets no time limit of its own. What its answer
/// reports of its load is heard.
///
/// # Errors
/// What was not as expected, in words for the operator.
pub async fn run(
    (address, via): (&Address, Option<Via>),
    tls: Option<&TlsSide>,
    check: &Check,
    load: &Load,
    progress: &Progress,
) -> Result<(), String> {
    match address {
        Address::Tcp(socket) => {
            let stream = connect(*socket, via).await.map_err(not_connected)?;
            progress.connected.store(true, Ordering::Relaxed);
            let authority = socket.to_string();
            let Some(tls) = tls else {
                return ask(stream, check, &authority, (load, progress)).await;
            };
            let mut config = tls.config.clone();
            if let Check::Grpc { .. } = check {
                // Many servers speak HTTP/2 only where it was agreed on.
                Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
            }
            let connector = TlsConnector::from(config);
            let stream = Box::pin(connector.connect(tls.name.clone(), stream)).await;
            let stream = stream.map_err(|error| format!("TLS: {error}"))?;
            ask(stream, check, &authority, (load, progress)).await
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(not_connected)?;
            progress.connected.store(true, Ordering::Relaxed);
            ask(stream, check, "localhost", (load, progress)).await
        }
    }
}

async fn connect(socket: SocketAddr, via: Option<Via>) -> io::Result<TcpStream> {
    let Some(via) = via else {
        return TcpStream::connect(socket).await;
    };
    let to = match via {
        Via::Route { to, .. } => to,
        Via::From(_) => socket,
    };
    let own = socket2::Socket::new(
        socket2::Domain::for_address(to),
        socket2::Type::STREAM,
        None,
    )?;
    match via {
        Via::Route { mark, .. } => own.set_mark(mark)?,
        Via::From(source) => {
            // Checks of others that are just over may have had the same port.
            own.set_reuse_address(true)?;
            own.bind(&SocketAddr::new(source, 0).into())?;
        }
    }
    own.set_nonblocking(true)?;
    TcpSocket::from_std_stream(own.into()).connect(to).await
}

async fn ask<S>(
    stream: S,
    check: &Check,
    authority: &str,
    (load, progress): (&Load, &Progress),
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match check {
        Check::Tcp => Ok(()),
        Check::Http {
            path,
            host,
            status,
            body,
        } => {
            let request = request(path, host.as_deref().unwrap_or(authority))?;
            ask_http(stream, request, (status, body.as_deref()), load).await
        }
        Check::Grpc { service, host } => {
            grpc::ask(stream, service, host.as_deref().unwrap_or(authority)).await
        }
        Check::Script(steps) => script::play(stream, steps, progress).await,
    }
}

async fn ask_http<S>(
    stream: S,
    request: hyper::Request<Empty<Bytes>>,
    (status, body): (&[RangeInclusive<u16>], Option<&str>),
    load: &Load,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(MAX_BODY);
    let (mut sender, connection) = builder
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(not_http)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(not_http)?;
        if let Some(report) = response.headers().get("endpoint-load-metrics") {
            load.hear(report.as_bytes(), clock::now());
        }
        let code = response.status().as_u16();
        if !status.iter().any(|range| range.contains(&code)) {
            return Err(format!("status {code}"));
        }
        match body {
            Some(text) => holds(response.into_body(), text).await,
            None => {
                let rest = Limited::new(response.into_body(), MAX_BODY).collect();
                let _ = tokio::time::timeout(COURTESY, rest).await;
                Ok(())
            }
        }
    };
    // The connection makes progress only while it is polled, and the exchange ends first.
    let driver = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        result = exchange => result,
        () = driver => Err("the connection ended".to_owned()),
    }
}

fn request(path: &str, host: &str) -> Result<hyper::Request<Empty<Bytes>>, String> {
    let host = HeaderValue::from_str(host).map_err(|error| format!("health.host: {error}"))?;
    hyper::Request::builder()
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, "pointsman/health")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| format!("health.path: {error}"))
}

async fn holds(mut body: Incoming, text: &str) -> Result<(), String> {
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(not_http)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let room = MAX_BODY - seen.len();
        let from = seen.len().saturating_sub(text.len());
        seen.extend_from_slice(&data[..data.len().min(room)]);
        if memchr::memmem::find(&seen[from..], text.as_bytes()).is_some() {
            return Ok(());
        }
        if seen.len() == MAX_BODY {
            break;
        }
    }
    if text.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the body does not hold \"{}\"",
        text.escape_debug()
    ))
}

fn not_connected(error: std::io::Error) -> String {
    format!("cannot connect: {error}")
}

fn not_http(error: hyper::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with these bytes; gives back what was asked.
    fn server(answer: Vec<u8>) -> (Address, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = Address::Tcp(listener.local_addr().expect("bound"));
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut head = [0; 4096];
            let length = stream.read(&mut head).expect("a request");
            let _ = stream.write_all(&answer);
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        (address, thread)
    }

    fn http(status: std::ops::RangeInclusive<u16>, body: Option<&str>) -> Check {
        Check::Http {
            path: "/healthz?deep=1".into(),
            host: None,
            status: vec![status],
            body: body.map(Into::into),
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(future)
    }

    async fn run(address: &Address, check: &Check, load: &Load) -> Result<(), String> {
        super::run((address, None), None, check, load, &Progress::default()).await
    }

    fn probe(answer: &[u8], check: Check) -> (Result<(), String>, String) {
        let (address, thread) = server(answer.to_vec());
        let result = block_on(run(&address, &check, &Load::default()));
        (result, thread.join().expect("the server ends"))
    }

    #[test]
    fn an_expected_status_passes_and_the_request_says_who_asks() {
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        let (result, request) = probe(answer, http(200..=399, None));
        assert_eq!(result, Ok(()));
        assert!(
            request.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("host: 127.0.0.1:"), "{request}");
        assert!(
            request.contains("user-agent: pointsman/health\r\n"),
            "{request}"
        );
        assert!(request.contains("connection: close\r\n"), "{request}");
    }

    #[test]
    fn what_an_answer_reports_of_the_load_is_heard() {
        let answer = b"HTTP/1.1 204 No Content\r\n\
            endpoint-load-metrics: TEXT cpu_utilization=0.5,rps_fractional=64\r\n\r\n";
        let (address, thread) = server(answer.to_vec());
        let load = Load::default();
        assert_eq!(
            block_on(run(&address, &http(200..=299, None), &load)),
            Ok(())
        );
        thread.join().expect("the server ends");
        assert_eq!(load.capacity(clock::now()), Some(128.0));
    }

    #[test]
    fn another_status_fails_and_is_named() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(
            probe(answer, http(200..=399, None)).0,
            Err("status 503".into())
        );
    }

    #[test]
    fn the_body_is_searched_for_the_text() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is ok";
        assert_eq!(probe(answer, http(200..=200, Some("is ok"))).0, Ok(()));
        let error = probe(answer, http(200..=200, Some("fine"))).0;
        assert_eq!(error, Err("the body does not hold \"fine\"".into()));
    }

    #[test]
    fn a_text_beyond_64_kib_is_not_found() {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.extend(std::iter::repeat_n(b'x', MAX_BODY));
        answer.extend(b"ready");
        assert!(probe(&answer, http(200..=200, Some("ready"))).0.is_err());
    }

    #[test]
    fn an_answer_that_is_not_http_fails() {
        let (result, _) = probe(b"SSH-2.0-OpenSSH\r\n", http(200..=399, None));
        assert!(result.is_err());
    }

    #[test]
    fn an_endless_head_fails() {
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        answer.extend(std::iter::repeat_n(b'a', 2 * MAX_BODY));
        assert!(probe(&answer, http(200..=399, None)).0.is_err());
    }

    #[test]
    fn a_refused_connection_fails_both_kinds_of_check() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = Address::Tcp(listener.local_addr().expect("bound"));
        drop(listener);
        for check in [Check::Tcp, http(200..=399, None)] {
            let error =
                block_on(run(&address, &check, &Load::default())).expect_err("nobody listens");
            assert!(error.starts_with("cannot connect: "), "{error}");
        }
    }

    #[test]
    fn a_unix_socket_can_be_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        assert_eq!(
            block_on(run(&Address::Unix(path), &Check::Tcp, &Load::default())),
            Ok(())
        );
        drop(listener);
    }
}
