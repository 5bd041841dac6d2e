//! `POST /trace` and `GET /trace`: requests that an operator has watched.

use std::time::{Duration, Instant};

use hyper::StatusCode;

use super::content::Answer;
use super::query;
use super::site::{json, text};
use crate::control::explain::{Look, Question, WatchPlace};
use crate::trace::{Desk, FIELD, Heard, TraceId};

/// How long an answer may wait for the request's end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands out a token, and tells where the request is to be sent.
pub(super) fn issue(desk: &Desk, look: &Look, question: &Question) -> Answer {
    let place = match look.place(question) {
        Ok(place) => place,
        Err(why) => return text(StatusCode::BAD_REQUEST, why + "\n"),
    };
    let Some(token) = desk.issue(Instant::now()) else {
        let why = "too many requests are watched at this moment: ask again in a minute\n";
        return text(StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
    };
    json(serde_json::to_string_pretty(&WatchPlace {
        token: token.to_string(),
        field: FIELD.to_owned(),
        ..place
    }))
}

/// Tells what became of a request.
pub(super) async fn hear(desk: &Desk, query: &str) -> Answer {
    let pairs = query::pairs(query).unwrap_or_default();
    let token = match pairs.as_slice() {
        [(name, value)] if name == "token" => TraceId::parse(value.as_bytes()),
        _ => None,
    };
    let Some(token) = token else {
        let why = "write /trace?token=TOKEN\n";
        return text(StatusCode::BAD_REQUEST, why.to_owned());
    };
    match desk.wait(token, PATIENCE).await {
        Heard::All(told) => json(serde_json::to_string_pretty(&told)),
        Heard::NotYet => text(StatusCode::ACCEPTED, "it has not ended yet\n".to_owned()),
        Heard::Nothing => {
            let why = "there is no such token: it is good for a minute, and is told of once\n";
            text(StatusCode::NOT_FOUND, why.to_owned())
        }
    }
}
