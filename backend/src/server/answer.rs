//! What is answered to which request.
//!
//! | target | answer |
//! |---|---|
//! | `/healthz` | 200 `ok`, or 503 when the server was told to be ill |
//! | `/echo` | the request as JSON: method, target, version, client, headers, body |
//! | `/ws` | a WebSocket echo |
//! | `/stream?n=10&every=100ms` | so many lines, one each so often |
//! | `/size/N` | N bytes |
//! | `/delay/200ms` | the name, after so long |
//! | any other | the name, with a `miss` after the path was read, and `x-cache` telling so |

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode, Version};
use pointsman_config::value::parse_duration;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::body::Content;
use super::control::Control;
use super::disk::Disk;
use super::load::Meter;
use super::{MAX_SIZE, Options, websocket};

/// Bytes of a body that `/echo` gives back at most.
const MAX_ECHO: usize = 1 << 20;
/// The longest wait that a request may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Lines of `/stream` at most.
const MAX_LINES: u64 = 100_000;

const X_BACKEND: HeaderName = HeaderName::from_static("x-backend");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const LOAD_METRICS: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// Answers the requests of one server.
#[derive(Debug)]
pub(super) struct Site {
    name: HeaderValue,
    line: Bytes,
    options: Options,
    control: Control,
    meter: Option<Meter>,
    disk: Option<Disk>,
    workers: Option<Semaphore>,
}

impl Site {
    pub(super) fn new(
        value: HeaderValue,
        name: String,
        options: Options,
        control: Control,
    ) -> Self {
        let meter = options.report_load.then(Meter::new);
        let reads = !options.miss.is_zero();
        let disk = reads.then(|| Disk::new(options.cache, options.miss));
        let workers = options.workers;
        let workers = workers.map(|count| Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self {
            name: value,
            line: Bytes::from(name + "\n"),
            options,
            control,
            meter,
            disk,
            workers,
        }
    }

    pub(super) fn name(&self) -> &str {
        // `Site::new` is given printable ASCII.
        self.name.to_str().unwrap_or_default()
    }

    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<Content> {
        let head = request.method() == Method::HEAD;
        let mut response = match request.uri().path() {
            "/healthz" => self.health(),
            _ => self.counted(request, client).await,
        };
        response.headers_mut().insert(X_BACKEND, self.name.clone());
        let meter = self.meter.as_ref();
        let busy = self.disk.as_ref().map(Disk::busy);
        if let Some(value) = meter.and_then(|m| m.header(self.control.served(), busy)) {
            response.headers_mut().insert(LOAD_METRICS, value);
        }
        if head {
            without_body(response)
        } else {
            response
        }
    }

    fn health(&self) -> Response<Content> {
        if self.control.is_healthy() {
            text(StatusCode::OK, "ok\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "not healthy\n")
        }
    }

    async fn counted(&self, request: Request<Incoming>, client: SocketAddr) -> Response<Content> {
        let number = self.control.count();
        let _worker = match &self.workers {
            // It is never closed.
            Some(workers) => workers.acquire().await.ok(),
            None => None,
        };
        let delay = self.control.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if fails(number, self.control.errors()) {
            if let Some(meter) = &self.meter {
                meter.error();
            }
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "this error was asked for\n",
            );
        }
        let path = request.uri().path();
        if let Some(size) = path.strip_prefix("/size/") {
            return sized(size);
        }
        if let Some(wait) = path.strip_prefix("/delay/") {
            return self.delayed(wait).await;
        }
        match path {
            "/echo" => echo(request, client).await,
            "/ws" => self.upgrade(request),
            "/stream" => self.stream(request.uri().query().unwrap_or_default()),
            path => self.read(path).await,
        }
    }

    /// The name, when the path's file has been read.
    async fn read(&self, path: &str) -> Response<Content> {
        let hit = match &self.disk {
            Some(disk) => Some(disk.fetch(path).await),
            None => None,
        };
        let mut response = self.named();
        if let Some(hit) = hit {
            let value = HeaderValue::from_static(if hit { "hit" } else { "miss" });
            response.headers_mut().insert(X_CACHE, value);
        }
        response
    }

    fn named(&self) -> Response<Content> {
        let content = Content::padded(self.line.clone(), self.options.size);
        with_type(Response::new(content), "text/plain")
    }

    async fn delayed(&self, wait: &str) -> Response<Content> {
        match parse_duration(wait) {
            Ok(wait) if wait <= MAX_WAIT => tokio::time::sleep(wait).await,
            Ok(_) => return refused("a delay is 1m at most"),
            Err(why) => return refused(&why.to_string()),
        }
        self.named()
    }

    fn stream(&self, query: &str) -> Response<Content> {
        match lines_asked_for(query) {
            Ok((count, every)) => {
                let content = Content::ticking(self.line.clone(), count, every);
                with_type(Response::new(content), "text/plain")
            }
            Err(why) => refused(&why),
        }
    }

    fn upgrade(&self, mut request: Request<Incoming>) -> Response<Content> {
        let accept = websocket::accept(request.headers())
            .filter(|_| request.version() == Version::HTTP_11 && request.method() == Method::GET);
        let Some(accept) = accept else {
            let mut response = text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n");
            if request.version() == Version::HTTP_11 {
                let headers = response.headers_mut();
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            }
            return response;
        };
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(websocket::serve(upgrade, self.control.subscribe()));
        let mut response = Response::new(Content::text(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert("sec-websocket-accept", accept);
        response
    }
}

/// Whether the request of this number fails, so that failures are a share and evenly spread.
fn fails(number: u64, share: f64) -> bool {
    let due = |count: u64| (count as f64 * share) as u64;
    due(number.saturating_add(1)) > due(number)
}

async fn echo(request: Request<Incoming>, client: SocketAddr) -> Response<Content> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_ECHO).collect().await else {
        return text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a body to echo is 1 MiB at most\n",
        );
    };
    let headers: Vec<Value> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let target = match parts.uri.path_and_query() {
        Some(target) if parts.version == Version::HTTP_2 => target.to_string(),
        _ => parts.uri.to_string(),
    };
    let told = json!({
        "method": parts.method.as_str(),
        "target": target,
        "authority": parts.uri.authority().map(|authority| authority.as_str()),
        "version": format!("{:?}", parts.version),
        "client": client.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body.to_bytes()),
    });
    with_type(
        Response::new(Content::text(format!("{told}\n"))),
        "application/json",
    )
}

fn sized(size: &str) -> Response<Content> {
    match size.parse::<u64>() {
        Ok(size) if size <= MAX_SIZE => {
            let content = Content::padded(Bytes::new(), size);
            with_type(Response::new(content), "application/octet-stream")
        }
        _ => refused("a size is a number of bytes, 1073741824 at most"),
    }
}

/// How many lines, and how often one.
fn lines_asked_for(query: &str) -> Result<(u64, Duration), String> {
    let (mut count, mut every) = (10, Duration::from_millis(100));
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "n" => {
                count = value
                    .parse()
                    .map_err(|_| format!("`{value}` is no number"))?
            }
            "every" => every = parse_duration(value).map_err(|why| why.to_string())?,
            _ => {}
        }
    }
    if count > MAX_LINES || every > MAX_WAIT {
        return Err(format!(
            "a stream has {MAX_LINES} lines at most, and one a minute at least"
        ));
    }
    Ok((count, every))
}

fn refused(why: &str) -> Response<Content> {
    text(StatusCode::BAD_REQUEST, format!("{why}\n"))
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Content> {
    let mut response = with_type(Response::new(Content::text(text)), "text/plain");
    *response.status_mut() = status;
    response
}

fn with_type(mut response: Response<Content>, kind: &'static str) -> Response<Content> {
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The answer to HEAD: the length that GET would have, and no body.
fn without_body(mut response: Response<Content>) -> Response<Content> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = Content::text("");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_the_share_asked_for_and_evenly_spread() {
        let failed = |share, count| (0..count).filter(|n| fails(*n, share)).count();
        assert_eq!(failed(0.0, 1_000), 0);
        assert_eq!(failed(1.0, 1_000), 1_000);
        assert_eq!(failed(0.05, 1_000), 50);
        assert_eq!(failed(0.5, 10), 5);
        assert_eq!(
            (0..100)
                .step_by(20)
                .map(|start| { (start..start + 20).filter(|n| fails(*n, 0.05)).count() })
                .max(),
            Some(1)
        );
    }

    #[test]
    fn a_stream_is_bounded() {
        assert_eq!(lines_asked_for(""), Ok((10, Duration::from_millis(100))));
        assert_eq!(
            lines_asked_for("n=3&every=1s&x=y"),
            Ok((3, Duration::from_secs(1)))
        );
        for query in ["n=100001", "n=-1", "n=x", "every=100", "every=2m"] {
            assert!(lines_asked_for(query).is_err(), "{query}");
        }
    }
}
