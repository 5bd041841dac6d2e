//! One POST to a collector.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use pointsman_config::policy::HttpUrl;
use tokio::net::TcpStream;

/// Bytes of an answer at most.
const MAX_ANSWER: usize = 64 << 10;

/// Why there is no answer, or none that helps.
#[derive(Debug)]
pub(super) struct Failure {
    /// In words for the operator.
    pub(super) why: String,
    /// Whether the same may succeed later.
    pub(super) passes: bool,
    /// Not before this, the collector says.
    pub(super) after: Option<Duration>,
}

impl Failure {
    /// One that may pass.
    pub(super) fn passing(why: impl ToString) -> Self {
        Self {
            why: why.to_string(),
            passes: true,
            after: None,
        }
    }
}

/// Posts a message; the answer's content.
pub(super) async fn post(url: &HttpUrl, message: Bytes) -> Result<Bytes, Failure> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
    let stream = stream.map_err(Failure::passing)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(Failure::passing)?;
    let request = request(url, message).map_err(|error| Failure {
        why: error.to_string(),
        passes: false,
        after: None,
    })?;
    let exchange = async {
        let response = sender.send_request(request).await;
        answer(response.map_err(Failure::passing)?).await
    };
    // The connection makes progress only while it is polled, and the exchange ends first.
    let driver = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        result = exchange => result,
        () = driver => Err(Failure::passing("the connection ended")),
    }
}

fn request(url: &HttpUrl, message: Bytes) -> hyper::http::Result<Request<Full<Bytes>>> {
    Request::post(&url.path)
        .header(HOST, &url.authority)
        .header(CONTENT_TYPE, "application/x-protobuf")
        .header(USER_AGENT, concat!("pointsman/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::new(message))
}

/// What to do about which status: OTLP, "OTLP/HTTP Response" and "Failures".
async fn answer(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    if !status.is_success() {
        return Err(Failure {
            why: format!("it answers with status {}", status.as_u16()),
            passes: matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            after: after.map(Duration::from_secs),
        });
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    body.map(|body| body.to_bytes()).map_err(Failure::passing)
}
