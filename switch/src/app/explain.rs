//! `pointsman explain`

use std::sync::Arc;

use pointsman_config::policy::Policy;

use super::client::{self, Door};
use super::{Exit, output};
use crate::args;
use crate::control::explain::{Explained, Look, Question};
use crate::control::source::Loaded;
use crate::control::state::State;
use crate::metrics::Hub;

pub(super) fn run(args: &args::Explain) -> Exit {
    let explained = match &args.policy {
        Some(file) => match Policy::from_path(file) {
            Ok(policy) => offline(policy, args),
            Err(report) => {
                output::message(&report.render_text(output::color_err()));
                return Exit::Invalid;
            }
        },
        None => ask(args),
    };
    let explained = match explained {
        Ok(explained) => explained,
        Err(exit) => return exit,
    };
    if !args.json {
        return output::print(&explained.to_string());
    }
    match serde_json::to_string_pretty(&explained) {
        Ok(json) => output::print(&json),
        Err(error) => {
            output::error(&format!("the answer cannot be written as JSON: {error}"));
            Exit::Failed
        }
    }
}

fn pairs(args: &args::Explain) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("method", args.method.clone()), ("url", args.url.clone())];
    pairs.extend(args.header.iter().map(|field| ("header", field.clone())));
    pairs.extend(args.client.clone().map(|client| ("client", client)));
    pairs.extend(args.listener.clone().map(|name| ("listener", name)));
    pairs
}

fn ask(args: &args::Explain) -> Result<Explained, Exit> {
    let pairs = pairs(args);
    let pairs: Vec<_> = pairs.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let door = Door::of(&args.target)?;
    let answer = client::ask_at(&door, "GET", &client::with_query("/explain", &pairs))?;
    if answer.status != 200 {
        return Err(client::refused(&answer));
    }
    serde_json::from_str(&answer.body).map_err(|error| {
        output::error(&format!("this switch is of another version: {error}"));
        Exit::Failed
    })
}

/// With the policy alone: nobody has been checked, and nothing is under way.
fn offline(policy: Policy, args: &args::Explain) -> Result<Explained, Exit> {
    let listeners = policy.listeners.iter();
    let bound =
        listeners.flat_map(|one| one.bind.iter().map(|bind| (one.name.clone(), bind.clone())));
    let addresses = bound.collect();
    let loaded = Loaded {
        policy: Arc::new(policy),
        tls: Default::default(),
        clients: Default::default(),
    };
    let look = Look::at(&State::new(loaded, Hub::new(1)), addresses, None);
    let pairs = pairs(args).into_iter();
    let question = Question::read(pairs.map(|(a, b)| (a.to_owned(), b)).collect());
    question
        .and_then(|question| look.explain(&question))
        .map_err(|why| {
            output::error(&why);
            Exit::Invalid
        })
}
