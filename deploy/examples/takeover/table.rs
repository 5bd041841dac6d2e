//! What came out.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::args::{Event, Who};

/// A blackout that people notice.
const LONG: Duration = Duration::from_secs(1);

/// What the clients of one try noticed.
#[derive(Debug)]
pub struct Sample {
    /// The longest time between the starts of two consecutive successes.
    pub blackout: Duration,
    /// From the first failure to the last.
    pub failing: Duration,
    /// New connections without an answer.
    pub failed: usize,
    /// Kept connections that broke.
    pub broken: usize,
}

/// All tries of one event.
#[derive(Debug)]
pub struct Row {
    pub event: Event,
    pub who: Who,
    pub samples: Vec<Sample>,
    /// Tries in which all was not well even before the event.
    pub unprepared: usize,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "blackout {:.1} ms, failing {:.1} ms, {} failed, {} broken",
            milliseconds(self.blackout),
            milliseconds(self.failing),
            self.failed,
            self.broken
        )
    }
}

/// A table in Markdown: median (least-most).
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| event | who | n | blackout, ms | failed | kept connections broken |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in rows {
        text.push_str(&line(row));
    }
    for row in rows.iter().filter(|row| row.unprepared > 0) {
        let Row {
            event,
            who,
            unprepared,
            ..
        } = row;
        let _ = write!(
            text,
            "\n{event} {who}: all was not well before the event {unprepared} times.\n"
        );
    }
    text.push_str(
        "\nMedian (least-most). For bgp-* half of the connections go to the other switch all the \
         while: instead of the blackout, the time from the first failure to the last.\n",
    );
    text
}

fn line(
    Row {
        event,
        who,
        samples,
        ..
    }: &Row,
) -> String {
    let time = |sample: &Sample| match event.is_routed() {
        true => milliseconds(sample.failing),
        false => milliseconds(sample.blackout),
    };
    let count = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    // The median tells nothing of what goes wrong now and then.
    let long = samples.iter().filter(|one| one.blackout > LONG).count();
    let of_them = match long {
        0 => String::new(),
        _ => format!(", {long} over {} s", LONG.as_secs()),
    };
    format!(
        "| {event} | {who} | {} | {}{of_them} | {} | {} |\n",
        samples.len(),
        spread(samples.iter().map(time), 1),
        spread(samples.iter().map(|sample| count(sample.failed)), 0),
        spread(samples.iter().map(|sample| count(sample.broken)), 0),
    )
}

fn spread(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else {
        return "-".to_owned();
    };
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    };
    format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
