//! What the admin interface answers.

use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::{Reach, contact};
use crate::control::contact::desk::ContactDesk;
use crate::control::readiness::Readiness;
use crate::control::reconcile::Desk;
use crate::control::reload::Reloads;
use crate::control::upgrade::{Refusal, Upgrades};
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
    upgrades: Option<Upgrades>,
    contact: Option<ContactDesk>,
}

impl Site {
    /// With these at hand.
    pub fn new(
        desk: Desk,
        reloads: Reloads,
        hub: Arc<Hub>,
        readiness: Arc<Readiness>,
        extra: Option<Extra>,
        upgrades: Option<Upgrades>,
        contact: Option<ContactDesk>,
    ) -> Self {
        Self {
            desk,
            reloads,
            hub,
            readiness,
            extra,
            upgrades,
            contact,
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
            "/upgrade" if post => self.upgrade(request.uri().query(), reach).await,
            "/contact/yield" | "/contact/resume" if post => {
                contact::answer(self.contact.as_ref(), request.uri()).await
            }
            "/health" | "/ready" | "/metrics" | "/status" => method_not_allowed("GET, HEAD"),
            "/reload" | "/upgrade" | "/contact/yield" | "/contact/resume" => {
                method_not_allowed("POST")
            }
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

    async fn upgrade(&self, query: Option<&str>, reach: Reach) -> Response<Full<Bytes>> {
        let binary = match query {
            Some(_) if reach != Reach::File => {
                return text(StatusCode::FORBIDDEN, BINARY_NEEDS_FILE.to_owned());
            }
            Some(query) => match binary(query) {
                Some(path) => Some(path),
                None => {
                    let why = "write ?binary=PATH, an absolute path, percent-encoded\n";
                    return text(StatusCode::BAD_REQUEST, why.to_owned());
                }
            },
            None => None,
        };
        let Some(upgrades) = &self.upgrades else {
            let why = "this switch cannot be upgraded: end it and start it anew\n";
            return text(StatusCode::NOT_IMPLEMENTED, why.to_owned());
        };
        let known = self.desk.known().await.unwrap_or_default();
        match upgrades.ask(binary, known).await {
            Ok(done) => text(StatusCode::OK, format!("{done}\n")),
            Err(Refusal::Unsafe(why)) => text(StatusCode::CONFLICT, format!("{why}\n")),
            Err(Refusal::Failed(why)) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n"))
            }
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

/// Any user of the machine can reach a loopback address: none of them may choose what this process
/// starts.
const BINARY_NEEDS_FILE: &str = "a program can be named over a Unix socket only: set admin.listen \
    to \"unix:/run/pointsman/admin.sock\", or put the program in place of the one that runs\n";

/// The path in `binary=PATH`, percent-encoded (RFC 3986 2.1); `None` when it is no such query.
fn binary(query: &str) -> Option<PathBuf> {
    let encoded = query.strip_prefix("binary=")?.as_bytes();
    let (mut path, mut rest) = (Vec::new(), encoded.iter());
    while let Some(&byte) = rest.next() {
        path.push(match byte {
            b'%' => {
                let digits = [*rest.next()?, *rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    path.is_absolute().then_some(path)
}

const NOT_FOUND: &str = "nothing here; there are GET /health, /ready, /status, /metrics \
                         and POST /reload, /upgrade, /contact/yield, /contact/resume\n";

fn method_not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}\n"));
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_by_an_absolute_path_in_percent_encoding() {
        let good = [
            ("binary=/usr/bin/x", "/usr/bin/x"),
            ("binary=%2Fa%20b%25", "/a b%"),
        ];
        for (query, path) in good {
            assert_eq!(binary(query), Some(PathBuf::from(path)), "{query}");
        }
        for query in [
            "",
            "binary=",
            "binary=x",
            "binary=/%2",
            "binary=/%zz",
            "other=/x",
        ] {
            assert_eq!(binary(query), None, "{query}");
        }
    }
}
