//! What the admin interface answers.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::Reach;
use crate::control::readiness::Readiness;
use crate::control::reconcile::Desk;
use crate::control::reload::Reloads;
use crate::metrics::Hub;

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Answers POST requests to further paths; `None`: there is no such path.
#[derive(Clone)]
pub struct Extra(pub Arc<Answerer>);

/// From a path to the answer.
pub type Answerer = dyn Fn(&str) -> Option<String> + Send + Sync;

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extra")
    }
}

/// What the admin interface answers with.
#[derive(Debug)]
pub struct Site {
    desk: Desk,
    reloads: Reloads,
    hub: Arc<Hub>,
    readiness: Arc<Readiness>,
    extra: Option<Extra>,
}

impl Site {
    /// With these at hand.
    pub fn new(
        desk: Desk,
        reloads: Reloads,
        hub: Arc<Hub>,
        readiness: Arc<Readiness>,
        extra: Option<Extra>,
    ) -> Self {
        Self {
            desk,
            reloads,
            hub,
            readiness,
            extra,
        }
    }

    /// Answers one request; its body is not read.
    pub(super) async fn answer<B: Body>(
        &self,
        request: Request<B>,
        reach: Reach,
    ) -> Response<Full<Bytes>> {
        let host = request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        if let Err(why) = reach.permit(request.method(), host) {
            return text(StatusCode::FORBIDDEN, format!("{why}\n"));
        }
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let post = *request.method() == Method::POST;
        match request.uri().path() {
            "/health" if get => text(StatusCode::OK, "alive\n".to_owned()),
            "/ready" if get => self.ready(),
            "/metrics" if get => respond(StatusCode::OK, METRICS, self.hub.encode()),
            "/status" if get => self.status().await,
            "/reload" if post && request.uri().query() == Some("wait=no") => self.ask_reload(),
            "/reload" if post => self.reload().await,
            "/health" | "/ready" | "/metrics" | "/status" => method_not_allowed("GET, HEAD"),
            "/reload" => method_not_allowed("POST"),
            path => match self
                .extra
                .as_ref()
                .filter(|_| post)
                .and_then(|extra| (extra.0)(path))
            {
                Some(answer) => text(StatusCode::OK, answer),
                None => text(StatusCode::NOT_FOUND, NOT_FOUND.to_owned()),
            },
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        match self.readiness.check() {
            Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    }

    async fn status(&self) -> Response<Full<Bytes>> {
        let json = match self.desk.status().await {
            Some(status) => serde_json::to_string_pretty(&status).ok(),
            None => None,
        };
        match json {
            Some(json) => respond(StatusCode::OK, JSON, json + "\n"),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned()),
        }
    }

    fn ask_reload(&self) -> Response<Full<Bytes>> {
        self.reloads.ask("the admin interface was asked");
        text(StatusCode::ACCEPTED, "asked\n".to_owned())
    }

    async fn reload(&self) -> Response<Full<Bytes>> {
        match self.reloads.wait("the admin interface was asked").await {
            Ok(policy) => {
                let warnings = match policy.warnings.is_empty() {
                    true => String::new(),
                    false => policy.warnings.render_text(false),
                };
                text(
                    StatusCode::OK,
                    format!("{warnings}policy {} in force\n", policy.digest),
                )
            }
            Err(refused) => text(StatusCode::UNPROCESSABLE_ENTITY, refused.render(false)),
        }
    }
}

const NOT_FOUND: &str = "nothing here; there are GET /health, /ready, /status, /metrics \
                         and POST /reload\n";

fn method_not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}\n"));
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    respond(status, TEXT, body)
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}
