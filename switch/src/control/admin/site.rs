//! What the admin interface answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hyper::body::Body;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, StatusCode};
use pointsman_config::policy::Policy;
use tokio::sync::Semaphore;

use super::content::{Answer, Content};
use super::events::{self, Followers, Wish};
use super::guard::{Denied, Need};
use super::token::Doorman;
use super::{
    Caller, Reach, backend, contact, guard, history, live, metrics, page, plan, query, status,
    trace,
};
use crate::control::contact::desk::ContactDesk;
use crate::control::explain::{Look, Question};
use crate::control::history::History;
use crate::control::inside::InForce;
use crate::control::journal::{Happening, Journal};
use crate::control::live::Live;
use crate::control::readiness::Readiness;
use crate::control::reconcile::Desk;
use crate::control::reload::Reloads;
use crate::control::source::Source;
use crate::control::upgrade::{Refusal, Upgrades};
use crate::metrics::Hub;
use crate::trace::Traces;

const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

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
    /// The policy that the process began with.
    first: Arc<Policy>,
    journal: Journal,
    source: Source,
    live: Live,
    history: History,
    followers: Followers,
    doorman: Doorman,
    traces: Arc<Traces>,
    /// Only one reads the policy's files to compare them.
    comparing: Semaphore,
}

/// What a [`Site`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The reconciler's.
    pub desk: Desk,
    /// Who is asked for reloads.
    pub reloads: Reloads,
    /// The metrics.
    pub hub: Arc<Hub>,
    /// Whether the process takes traffic.
    pub readiness: Arc<Readiness>,
    /// What is answered beyond the interface's own.
    pub extra: Option<Extra>,
    /// Who is asked for upgrades, if they are possible.
    pub upgrades: Option<Upgrades>,
    /// Who is asked about contact addresses, if there are any.
    pub contact: Option<ContactDesk>,
    /// The policy that the process began with.
    pub first: Arc<Policy>,
    /// What has happened.
    pub journal: Journal,
    /// Where later policies come from.
    pub source: Source,
    /// What the dashboard shows.
    pub live: Live,
    /// The last hour.
    pub history: History,
    /// Requests that are watched.
    pub traces: Arc<Traces>,
}

impl Site {
    /// With these at hand.
    pub fn new(parts: Parts) -> Self {
        Self {
            desk: parts.desk,
            reloads: parts.reloads,
            hub: parts.hub,
            readiness: parts.readiness,
            extra: parts.extra,
            upgrades: parts.upgrades,
            contact: parts.contact,
            first: parts.first,
            journal: parts.journal,
            source: parts.source,
            live: parts.live,
            history: parts.history,
            comparing: Semaphore::new(1),
            traces: parts.traces,
            followers: Followers::default(),
            doorman: Doorman::default(),
        }
    }

    /// Answers one request; its body is not read.
    pub(super) async fn answer<B: Body>(&self, request: Request<B>, caller: &Caller) -> Answer {
        if let Err(denied) = self.permit(&request, caller) {
            return refuse(denied);
        }
        let reach = caller.reach;
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let post = *request.method() == Method::POST;
        let query = request.uri().query().unwrap_or("");
        match request.uri().path() {
            "/health" if get => text(StatusCode::OK, "alive\n".to_owned()),
            "/ready" if get => self.ready(),
            "/metrics" if get => metrics::answer(&self.hub, request.headers()),
            "/status" if get => self.status(query).await,
            "/policy" if get => json(serde_json::to_string(&InForce::of(&self.policy()))),
            "/explain" if get => self.explain(query).await,
            "/trace" if get => trace::hear(&self.traces.desk, query).await,
            "/trace" if post => self.watch(query).await,
            "/events" if get => self.events(query, caller),
            "/live" if get => self.live(caller),
            "/history" if get => history::answer(&self.history, query),
            "/plan" if get => self.plan().await,
            path if get && page::is_one(path) => {
                page::answer(request.uri().path(), request.headers())
            }
            "/reload" if post && request.uri().query() == Some("wait=no") => self.ask_reload(),
            "/reload" if post => self.reload().await,
            "/upgrade" if post => self.upgrade(request.uri().query(), reach).await,
            "/contact/yield" | "/contact/resume" if post => {
                contact::answer(self.contact.as_ref(), request.uri()).await
            }
            path if post && backend::PATHS.contains(&path) => {
                backend::answer(&self.desk, request.uri()).await
            }
            "/trace" => method_not_allowed("GET, HEAD, POST"),
            path if LOOKS.contains(&path) || page::is_one(path) => method_not_allowed("GET, HEAD"),
            "/reload" | "/upgrade" | "/contact/yield" | "/contact/resume" => {
                method_not_allowed("POST")
            }
            path if backend::PATHS.contains(&path) => method_not_allowed("POST"),
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

    fn permit<B>(&self, request: &Request<B>, caller: &Caller) -> Result<(), Denied> {
        let field = |name| request.headers().get(name);
        let host = field(HOST).and_then(|host| host.to_str().ok());
        guard::same_site(request.method(), request.headers(), host)?;
        let near = guard::is_near(caller.from, host);
        let need = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/policy" | "/explain" | "/plan" | "/trace") => {
                Need::Inside
            }
            (&Method::GET | &Method::HEAD, path) if STATE.contains(&path) && !near => Need::Inside,
            (&Method::GET | &Method::HEAD, _) => Need::Look,
            _ => Need::Change,
        };
        let policy = self.policy();
        let shown = match (&policy.admin.token, caller.from) {
            // Who only looks is not counted among those who guess.
            (Some(token), Some(from)) if need != Need::Look => {
                let field = field(AUTHORIZATION).map(HeaderValue::as_bytes);
                Some(self.doorman.look(token, field, from, Instant::now()))
            }
            _ => None,
        };
        caller.reach.permit(need, host, shown)
    }

    /// The policy in force.
    fn policy(&self) -> Arc<Policy> {
        let reloaded = self.reloads.in_force();
        reloaded.unwrap_or_else(|| self.first.clone())
    }

    async fn explain(&self, query: &str) -> Answer {
        match self.question(query).await {
            Ok((question, look)) => match look.explain(&question) {
                Ok(explained) => json(serde_json::to_string_pretty(&explained)),
                Err(why) => text(StatusCode::BAD_REQUEST, why + "\n"),
            },
            Err(refusal) => refusal,
        }
    }

    async fn watch(&self, query: &str) -> Answer {
        match self.question(query).await {
            Ok((question, look)) => trace::issue(&self.traces.desk, &look, &question),
            Err(refusal) => refusal,
        }
    }

    /// A question, and what is looked at to answer it.
    async fn question(&self, query: &str) -> Result<(Question, Look), Answer> {
        let pairs = query::pairs(query).ok_or_else(|| BAD_QUESTION.to_owned());
        let question = pairs.and_then(Question::read);
        let question = question.map_err(|why| text(StatusCode::BAD_REQUEST, why + "\n"))?;
        match self.desk.look().await {
            Some(look) => Ok((question, look)),
            None => Err(text(StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned())),
        }
    }

    fn events(&self, query: &str, caller: &Caller) -> Answer {
        let Some(wish) = Wish::read(query) else {
            let why = "write /events?after=NUMBER, ?since=TIME (RFC 3339) or ?follow=yes\n";
            return text(StatusCode::BAD_REQUEST, why.to_owned());
        };
        caller.follows.store(wish.follow, Ordering::Relaxed);
        events::answer(&self.journal, wish, &self.followers, caller.phases.clone())
    }

    fn ready(&self) -> Answer {
        match self.readiness.check() {
            Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    }

    async fn status(&self, query: &str) -> Answer {
        let Some(part) = status::Part::read(query) else {
            let why = "write /status?pool=NAME&backend=NAME, percent-encoded, or no query\n";
            return text(StatusCode::BAD_REQUEST, why.to_owned());
        };
        match self.desk.status().await {
            Some(status) => json(serde_json::to_string_pretty(&part.of(status))),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned()),
        }
    }

    fn live(&self, caller: &Caller) -> Answer {
        caller.follows.store(true, Ordering::Relaxed);
        live::answer(&self.live, &self.journal, caller.phases.clone())
    }

    async fn plan(&self) -> Answer {
        let Ok(_place) = self.comparing.try_acquire() else {
            let why = "somebody else compares the files at this moment: ask again\n";
            return text(StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
        };
        plan::answer(&self.source, &self.policy(), &self.desk).await
    }

    async fn upgrade(&self, query: Option<&str>, reach: Reach) -> Answer {
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
        // Before what is known is asked for, so that the next process tells of it.
        let begun = Happening::info("upgrade", "an upgrade begins: a new process starts");
        self.journal.note(begun);
        let known = self.desk.known().await.unwrap_or_default();
        let (status, why) = match upgrades.ask(binary, known).await {
            Ok(done) => return text(StatusCode::OK, format!("{done}\n")),
            Err(Refusal::Unsafe(why)) => (StatusCode::CONFLICT, why),
            Err(Refusal::Failed(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        };
        let event = Happening::warning("upgrade-failed", why.clone());
        self.journal.note(event);
        text(status, format!("{why}\n"))
    }

    fn ask_reload(&self) -> Answer {
        self.reloads.ask("the admin interface was asked");
        text(StatusCode::ACCEPTED, "asked\n".to_owned())
    }

    async fn reload(&self) -> Answer {
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

/// What is only looked at.
const LOOKS: [&str; 10] = [
    "/health", "/ready", "/metrics", "/status", "/events", "/live", "/history", "/policy",
    "/explain", "/plan",
];

/// What tells of servers and their state: not for everybody on the network.
const STATE: [&str; 4] = ["/status", "/events", "/live", "/history"];

const BAD_QUESTION: &str = "write /explain?method=GET&url=URL&header=NAME:VALUE&client=IP, \
    percent-encoded";

/// Any user of the machine can reach a loopback address: none of them may choose what this process
/// starts.
const BINARY_NEEDS_FILE: &str = "a program can be named over a Unix socket only: set admin.listen \
    to \"unix:/run/pointsman/admin.sock\", or put the program in place of the one that runs\n";

/// The path in `binary=PATH`, percent-encoded (RFC 3986 2.1); `None` when it is no such query.
fn binary(query: &str) -> Option<PathBuf> {
    let path = PathBuf::from(query::decoded(query.strip_prefix("binary=")?)?);
    path.is_absolute().then_some(path)
}

const NOT_FOUND: &str = "nothing here; there are GET / (the dashboard), /health, /ready, /status, /events, \
                         /live, /history, /policy, /plan, /explain, /metrics \
                         and POST /reload, /upgrade, /backend/drain, /backend/disable, \
                         /backend/enable, /backend/weight, /contact/yield, /contact/resume\n";

fn refuse(denied: Denied) -> Answer {
    let mut response = text(denied.status(), format!("{}\n", denied.words()));
    if denied == Denied::Token {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}\n"));
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) fn text(status: StatusCode, body: String) -> Answer {
    respond(status, TEXT, body)
}

/// What has been written as JSON.
pub(super) fn json(written: serde_json::Result<String>) -> Answer {
    match written {
        Ok(json) => respond(StatusCode::OK, JSON, json + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

pub(super) fn respond(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut response = Answer::new(Content::text(body));
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
