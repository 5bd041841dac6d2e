//! `pointsman trace`

mod render;
mod send;
mod tls;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::send::{Seen, Unanswered};
use super::client::{self, Door};
use super::{Exit, output};
use crate::args;
use crate::control::explain::{Explained, WatchPlace};
use crate::trace::Told;

/// How often is asked what became of the request; each time the switch waits for seconds.
const ASKS: u32 = 3;

/// What is known of the request in the end.
#[derive(Debug, Serialize, Deserialize)]
struct Traced {
    /// What the switch tells.
    #[serde(flatten)]
    told: Told,
    /// Why it went there; `None`: that cannot be told.
    why: Option<Explained>,
    /// What the client saw; `None`: no answer.
    client_saw: Option<Seen>,
}

pub(super) fn run(args: &args::Trace) -> Exit {
    let traced = match trace(args) {
        Ok(traced) => traced,
        Err(exit) => return exit,
    };
    let text = match args.json {
        true => serde_json::to_string_pretty(&traced),
        false => Ok(render::text(&traced)),
    };
    let printed = match text {
        Ok(text) => output::print(&text),
        Err(error) => {
            output::error(&format!("the answer cannot be written as JSON: {error}"));
            Exit::Failed
        }
    };
    match traced.client_saw {
        Some(_) => printed,
        None => Exit::Failed,
    }
}

fn trace(args: &args::Trace) -> Result<Traced, Exit> {
    let door = Door::of(&args.target)?;
    let place: WatchPlace = answer(&door, "POST", "/trace", &question(args, None))?;
    let seen = match send::send(args, &place, door.host()) {
        Ok(seen) => Some(seen),
        Err(Unanswered { why, was_sent }) => {
            output::error(&why);
            if !was_sent {
                return Err(Exit::Failed);
            }
            None
        }
    };
    let told = told(&door, &place.token)?;
    let pairs = question(args, Some(&told));
    let why = client::ask_at(&door, "GET", &path("/explain", &pairs))?;
    let why = serde_json::from_str(&why.body).ok();
    Ok(Traced {
        told,
        why,
        client_saw: seen,
    })
}

/// The request as `explain` takes it; once it was seen, with the client and the listener that it had.
fn question(args: &args::Trace, told: Option<&Told>) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("method", args.method.clone()), ("url", args.url.clone())];
    pairs.extend(args.header.iter().map(|field| ("header", field.clone())));
    let listener = told.map(|told| told.listener.clone());
    let listener = listener.or_else(|| args.listener.clone());
    pairs.extend(listener.map(|name| ("listener", name)));
    pairs.extend(told.map(|told| ("client", told.client.clone())));
    pairs
}

fn told(door: &Door, token: &str) -> Result<Told, Exit> {
    let path = path("/trace", &[("token", token.to_owned())]);
    for _ in 0..ASKS {
        let answer = client::ask_at(door, "GET", &path)?;
        match answer.status {
            200 => return read(&answer.body),
            202 => {}
            _ => return Err(client::refused(&answer)),
        }
    }
    output::error(
        "the switch has not seen the request, or has not ended it: does another one, or a proxy, \
         answer at that address?",
    );
    Err(Exit::Failed)
}

fn answer<T: DeserializeOwned>(
    door: &Door,
    method: &str,
    place: &str,
    pairs: &[(&str, String)],
) -> Result<T, Exit> {
    let answer = client::ask_at(door, method, &path(place, pairs))?;
    match answer.status {
        200 => read(&answer.body),
        _ => Err(client::refused(&answer)),
    }
}

fn path(place: &str, pairs: &[(&str, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(a, b)| (*a, b.as_str())).collect();
    client::with_query(place, &pairs)
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, Exit> {
    serde_json::from_str(body).map_err(|error| {
        output::error(&format!("this switch is of another version: {error}"));
        Exit::Failed
    })
}
