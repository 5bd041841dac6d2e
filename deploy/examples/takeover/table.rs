//! What came out.

use std::fmt;
use std::time::Duration;

use crate::args::{Event, Who};

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
    }: &Row,
) -> String {
    let time = |sample: &Sample| match event.is_routed() {
        true => milliseconds(sample.failing),
        false => milliseconds(sample.blackout),
    };
    let count = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    format!(
        "| {event} | {who} | {} | {} | {} | {} |\n",
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
