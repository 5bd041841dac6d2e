//! What the last hour looked like, for `GET /history` and the dashboard: one point every
//! [`STEP`] seconds of each listener, route, pool and backend.
//!
//! Each series is a ring of [`POINTS`] points of 20 bytes, 7.2 kB in all, and there are
//! [`MAX_SERIES`] of them at most: 15 MB. With three backends it is less than 100 kB, with a thousand
//! 7 MB. A task of the control plane fills it from the counters' sums; the path of a request does not
//! know of it. It begins anew with the process.

pub mod point;
pub mod ring;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use point::{Point, Subject};
use ring::Ring;

/// Between two points.
pub const STEP: Duration = Duration::from_secs(10);
/// Points of one series: an hour.
pub const POINTS: usize = 360;
/// Series that are kept.
pub const MAX_SERIES: usize = 2048;

/// The last hour. Cheap to clone: all clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// Of the last point; counts from 1.
    turn: u64,
    /// When the points were taken, in seconds since 1970.
    times: Ring<u64>,
    series: HashMap<Subject, Series>,
    left_out: usize,
}

#[derive(Debug, Default)]
struct Series {
    /// The turn of its last point.
    last: u64,
    points: Ring<Point>,
}

/// A series as columns of equal length; `null` where there is nothing to tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Columns {
    /// Seconds since 1970.
    pub at: Vec<u64>,
    /// Requests (of a listener: connections) per second.
    pub rate: Vec<Option<f32>>,
    /// Of these, those that went wrong.
    pub errors: Vec<Option<f32>>,
    /// Seconds that one request of a hundred exceeds.
    pub p99: Vec<Option<f32>>,
    /// Under way.
    pub in_flight: Vec<Option<u32>>,
    /// Of a backend its state, of a pool the backends that serve, in percent.
    pub state: Vec<Option<u8>>,
}

impl History {
    /// Takes up one point of each subject; `at` in seconds since 1970.
    pub fn record(&self, at: u64, points: &[(Subject, Point)]) {
        let mut book = self.book();
        book.turn += 1;
        book.times.push(at);
        book.left_out = 0;
        let turn = book.turn;
        book.series
            .retain(|_, series| turn - series.last < POINTS as u64);
        for (subject, point) in points {
            if !book.admit(subject, turn) {
                book.left_out += 1;
                continue;
            }
            if let Some(series) = book.series.get_mut(subject) {
                series.push(*point, turn);
            }
        }
    }

    /// What is known of a subject; `None`: nothing.
    pub fn columns(&self, subject: &Subject) -> Option<Columns> {
        let book = self.book();
        let series = book.series.get(subject)?;
        let silent = (book.turn - series.last) as usize;
        let gaps = std::iter::repeat_n(&Point::GAP, silent);
        let all = series.points.iter().chain(gaps);
        let known = (series.points.len() + silent).min(book.times.len());
        let surplus = series.points.len() + silent - known;
        let mut columns = Columns::default();
        let times = book.times.iter().skip(book.times.len() - known);
        for (at, point) in times.zip(all.skip(surplus)) {
            columns.push(*at, point);
        }
        Some(columns)
    }

    /// Subjects of which nothing is kept since there are too many.
    pub fn left_out(&self) -> usize {
        self.book().left_out
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Makes room for a subject that is new; one that is gone gives its place up first.
    fn admit(&mut self, subject: &Subject, turn: u64) -> bool {
        if self.series.contains_key(subject) {
            return true;
        }
        if self.series.len() >= MAX_SERIES {
            let mut all = self.series.iter();
            let gone = all.find(|(_, series)| series.last + 1 < turn);
            let Some(gone) = gone.map(|(subject, _)| subject.clone()) else {
                return false;
            };
            self.series.remove(&gone);
        }
        self.series.insert(subject.clone(), Series::begun(turn));
        true
    }
}

impl Series {
    /// Its first point comes with this turn.
    fn begun(turn: u64) -> Self {
        Self {
            last: turn - 1,
            points: Ring::default(),
        }
    }

    fn push(&mut self, point: Point, turn: u64) {
        for _ in self.last + 1..turn {
            self.points.push(Point::GAP);
        }
        self.points.push(point);
        self.last = turn;
    }
}

impl Columns {
    fn push(&mut self, at: u64, point: &Point) {
        let number = |number: f32| number.is_finite().then_some(number);
        self.at.push(at);
        self.rate.push(number(point.rate));
        self.errors.push(number(point.errors));
        self.p99.push(number(point.p99));
        let there = point.rate.is_finite();
        self.in_flight.push(there.then_some(point.in_flight));
        self.state.push(there.then_some(point.state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(rate: f32) -> Point {
        Point { rate, ..Point::GAP }
    }

    fn route(name: &str) -> Subject {
        Subject::Route(name.to_owned())
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let history = History::default();
        for turn in 0..POINTS as u64 + 5 {
            history.record(turn * 10, &[(route("a"), point(turn as f32))]);
        }
        let columns = history.columns(&route("a")).expect("it is known");
        assert_eq!((columns.at.len(), columns.rate.len()), (POINTS, POINTS));
        assert_eq!((columns.at[0], columns.rate[0]), (50, Some(5.0)));
        assert_eq!(columns.rate[POINTS - 1], Some(POINTS as f32 + 4.0));
    }

    #[test]
    fn a_time_of_which_nothing_is_known_is_a_gap() {
        let history = History::default();
        history.record(10, &[(route("a"), point(1.0))]);
        history.record(20, &[]);
        history.record(30, &[(route("a"), point(3.0)), (route("b"), point(4.0))]);
        history.record(40, &[(route("a"), point(5.0))]);
        let columns = |name| history.columns(&route(name)).expect("it is known");
        assert_eq!(columns("a").rate, [Some(1.0), None, Some(3.0), Some(5.0)]);
        assert_eq!(columns("b").at, [30, 40]);
        assert_eq!(columns("b").rate, [Some(4.0), None]);
        assert_eq!(history.columns(&route("c")), None);
    }

    #[test]
    fn what_is_gone_for_an_hour_is_forgotten() {
        let history = History::default();
        history.record(0, &[(route("a"), point(1.0))]);
        for turn in 1..POINTS as u64 {
            history.record(turn * 10, &[]);
        }
        assert!(history.columns(&route("a")).is_some());
        history.record(9999, &[]);
        assert_eq!(history.columns(&route("a")), None);
    }

    #[test]
    fn the_number_of_series_is_bounded_and_what_is_gone_makes_room() {
        let history = History::default();
        let all = |from: usize| -> Vec<_> {
            let names = from..from + MAX_SERIES + 3;
            names.map(|n| (route(&n.to_string()), point(1.0))).collect()
        };
        history.record(10, &all(0));
        assert_eq!(history.left_out(), 3);
        assert_eq!(history.book().series.len(), MAX_SERIES);
        history.record(20, &[]);
        history.record(30, &all(100_000));
        assert_eq!(history.left_out(), 3);
        assert!(history.columns(&route("100000")).is_some());
    }

    #[test]
    fn a_point_is_as_small_as_the_documentation_says() {
        assert_eq!(size_of::<Point>(), 20);
    }
}
