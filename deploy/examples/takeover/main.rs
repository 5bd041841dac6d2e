//! Measures how long clients notice that one switch of a pair takes over from the other.
//!
//! ```text
//! cargo run --release -p pointsman-deploy --example takeover -- \
//!     [--events stop,kill,...] [--tries 9] [--who keepalived,pointsman,...] [--interval-ms 10]
//! ```
//!
//! Each try has a network of its own. A client opens a new connection every millisecond, and a few
//! more clients keep theirs. The event happens at a random phase of the time between two adverts.
//! The blackout is the longest time between the starts of two consecutive successes.

#![allow(clippy::print_stdout, reason = "the table is for whoever started this")]
#![allow(clippy::print_stderr, reason = "so is how far it has come")]

mod args;
mod node;
mod pair;
mod routed;
mod table;
mod watch;

use std::fs::{self, File};
use std::panic;
use std::process::ExitCode;

use args::{Args, Event, Who};
use pointsman_deploy::lab::Lab;
use table::Row;

/// Tries that come to nothing before the event, as on a machine that is too busy: so many are made
/// up for.
const MOST_UNPREPARED: usize = 3;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Err(why) = Lab::with(&args.programs()) {
        eprintln!("this cannot be measured here: {why}");
        return ExitCode::FAILURE;
    }
    let _alone = wait_for_others();
    println!("Load before (1, 5, 15 minutes): {}", load());
    let rows: Vec<Row> = args
        .cases()
        .map(|(event, who)| measure(&args, event, who))
        .collect();
    println!("{}", table::markdown(&rows));
    ExitCode::SUCCESS
}

fn measure(args: &Args, event: Event, who: Who) -> Row {
    let tries = args.tries_of(event);
    let mut row = Row {
        event,
        who,
        samples: Vec::new(),
        unprepared: 0,
    };
    while row.samples.len() < tries && row.unprepared < MOST_UNPREPARED {
        let sample = panic::catch_unwind(|| match event.is_routed() {
            true => routed::measure(event, who),
            false => pair::measure(event, who, args.interval),
        });
        let Ok(sample) = sample else {
            row.unprepared += 1;
            continue;
        };
        row.samples.push(sample);
        let number = row.samples.len();
        eprintln!(
            "{event} {who} {number}/{tries}: {}",
            row.samples[number - 1]
        );
    }
    row
}

/// Two runs at once would measure each other.
fn wait_for_others() -> Option<File> {
    let file = File::create(std::env::temp_dir().join("pointsman-takeover.lock")).ok()?;
    if file.try_lock().is_err() {
        eprintln!("another run goes on: waiting for its end");
        file.lock().ok()?;
    }
    Some(file)
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(", ")
}
