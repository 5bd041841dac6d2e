//! `pointsman backend`

use std::time::{Duration, Instant};

use super::{Exit, client, output, status};
use crate::args::{self, BackendAction, BackendName, Target, Terms};
use crate::control::orders::Done;

/// Between two looks at what is still under way.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(action: BackendAction) -> Exit {
    match action {
        BackendAction::List(args) => list(&args),
        BackendAction::Drain(args) => drain(&args),
        BackendAction::Disable(args) => {
            let order = Order::new("disable", &args.backend).under(&args.terms);
            tell(order.give(&args.target), args.json)
        }
        BackendAction::Enable(args) => {
            let order = Order::new("enable", &args.backend).because(args.why.as_deref());
            tell(order.give(&args.target), args.json)
        }
        BackendAction::Weight(args) => {
            let order = Order::new("weight", &args.backend).under(&args.terms);
            let order = order.with("weight", args.weight.to_string());
            tell(order.give(&args.target), args.json)
        }
    }
}

fn list(args: &args::Status) -> Exit {
    let status = match status::ask(&args.target).and_then(|body| status::read(&body)) {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    if !args.json {
        let mut text = String::new();
        status::pools(&mut text, &status, output::color_out());
        return output::print(text.trim_start());
    }
    let both = serde_json::json!({ "pools": status.pools, "overlay": status.overlay });
    match serde_json::to_string_pretty(&both) {
        Ok(json) => output::print(&json),
        Err(error) => {
            output::error(&format!("the list cannot be written as JSON: {error}"));
            Exit::Failed
        }
    }
}

fn drain(args: &args::Drain) -> Exit {
    let order = Order::new("drain", &args.backend).under(&args.terms);
    let given = order.give(&args.target);
    let Ok((done, _)) = &given else {
        return tell(given, args.json);
    };
    let backend = done.backend.clone();
    let told = tell(given, args.json);
    match args.wait {
        true => wait(args, &backend),
        false => told,
    }
}

/// Tells how much is still under way until nothing is.
fn wait(args: &args::Drain, backend: &str) -> Exit {
    let until = args.timeout.map(|timeout| Instant::now() + timeout);
    let mut told = None;
    loop {
        let status = match status::ask(&args.target).and_then(|body| status::read(&body)) {
            Ok(status) => status,
            Err(exit) => return exit,
        };
        let mut entries = status.overlay.iter();
        let entry = entries.find(|entry| {
            entry.pool == args.backend.pool && entry.backend == backend && entry.order == "drain"
        });
        let Some(entry) = entry else {
            output::error("it is not draining any more: somebody has taken that back");
            return Exit::Failed;
        };
        if told != Some(entry.in_flight) {
            told = Some(entry.in_flight);
            output::message(&format!("{} under way", entry.in_flight));
        }
        if entry.in_flight == 0 {
            return Exit::Ok;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            output::error("something is still under way; it goes on draining");
            return Exit::Failed;
        }
        std::thread::sleep(LOOK);
    }
}

/// A request to the admin interface.
struct Order {
    path: String,
    pairs: Vec<(&'static str, String)>,
}

impl Order {
    fn new(word: &str, backend: &BackendName) -> Self {
        Self {
            path: format!("/backend/{word}"),
            pairs: vec![
                ("pool", backend.pool.clone()),
                ("backend", backend.backend.clone()),
            ],
        }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.pairs.push((name, value));
        self
    }

    fn because(self, why: Option<&str>) -> Self {
        match why {
            Some(why) => self.with("why", why.to_owned()),
            None => self,
        }
    }

    fn under(self, terms: &Terms) -> Self {
        let mut order = self.because(terms.why.as_deref());
        if let Some(time) = terms.time {
            order = order.with("for", format!("{}ms", time.as_millis()));
        }
        match terms.force {
            true => order.with("force", "yes".to_owned()),
            false => order,
        }
    }

    /// What became of it, and as it was sent.
    fn give(&self, target: &Target) -> Result<(Done, String), Exit> {
        let pairs: Vec<_> = self.pairs.iter().map(|(a, b)| (*a, b.as_str())).collect();
        let answer = client::ask(target, "POST", &client::with_query(&self.path, &pairs))?;
        if answer.status != 200 {
            let exit = client::refused(&answer);
            if answer.status == 409 {
                output::message("help: nothing was changed; --force does it all the same");
            }
            return Err(exit);
        }
        match serde_json::from_str(&answer.body) {
            Ok(done) => Ok((done, answer.body)),
            Err(error) => {
                output::error(&format!("this switch is of another version: {error}"));
                Err(Exit::Failed)
            }
        }
    }
}

fn tell(given: Result<(Done, String), Exit>, json: bool) -> Exit {
    match given {
        Ok((_, body)) if json => output::print(&body),
        Ok((done, _)) => output::print(&done.text),
        Err(exit) => exit,
    }
}
