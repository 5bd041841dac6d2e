//! The samples of the last seconds, and the last one that history has.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::control::history::point::{Point, Subject, between};
use crate::metrics::Sample;

/// Rates and quantiles of frames are those of so long a time, or less.
const SPAN: Duration = Duration::from_secs(10);

/// What a new sample tells.
#[derive(Debug, Default)]
pub struct Turn {
    /// Over the last seconds.
    pub lately: Vec<(Subject, Point)>,
    /// Since the last point of the history, when the next one is due.
    pub of_step: Option<Vec<(Subject, Point)>>,
    /// Pools, and how many requests wait there.
    pub waiting: Vec<(String, u64)>,
    /// Client connections that are open.
    pub open: u64,
}

/// Remembers samples; it is bounded by its span, as samples are taken once a second at most.
#[derive(Debug)]
pub(super) struct Window {
    step: Duration,
    recent: VecDeque<(Instant, Sample)>,
    mark: Option<(Instant, Sample)>,
}

impl Window {
    /// With so much time between two points of the history.
    pub(super) fn new(step: Duration) -> Self {
        Self {
            step,
            recent: VecDeque::new(),
            mark: None,
        }
    }

    /// Whether the history wants a point.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let since = |(at, _): &(Instant, Sample)| now.saturating_duration_since(*at);
        self.mark
            .as_ref()
            .is_none_or(|mark| since(mark) >= self.step)
    }

    /// Takes up a sample of now.
    pub(super) fn take(&mut self, now: Instant, sample: Sample) -> Turn {
        let of_step = match (self.is_due(now), &self.mark) {
            (true, Some((at, before))) => Some(between(before, &sample, now - *at)),
            _ => None,
        };
        if self.is_due(now) {
            self.mark = Some((now, sample.clone()));
        }
        // One that is older stays while there is no other to compare with.
        while self.recent.len() > 1 && now - self.recent[0].0 > SPAN {
            self.recent.pop_front();
        }
        let (since, before) = match self.recent.front() {
            Some((at, before)) => (now - *at, before),
            None => (self.step, &sample),
        };
        let lately = between(before, &sample, since);
        let waiting = sample.waiting.clone();
        let open = sample.listeners.iter().map(|one| one.open).sum();
        self.recent.push_back((now, sample));
        Turn {
            lately,
            of_step,
            waiting,
            open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ListenerSample;

    fn sample(accepted: u64) -> Sample {
        let listener = ListenerSample {
            accepted,
            ..ListenerSample::default()
        };
        Sample {
            listeners: vec![listener],
            ..Sample::default()
        }
    }

    #[test]
    fn rates_are_of_the_last_seconds_and_points_of_a_whole_step() {
        let (mut window, begin) = (Window::new(Duration::from_secs(10)), Instant::now());
        let mut steps = Vec::new();
        for second in 0..=30 {
            let now = begin + Duration::from_secs(second);
            let accepted = if second < 15 { 0 } else { (second - 14) * 100 };
            let turn = window.take(now, sample(accepted));
            if let Some(points) = turn.of_step {
                steps.push((second, points[0].1.rate));
            }
            if second == 30 {
                assert_eq!(turn.lately[0].1.rate, 100.0);
            }
        }
        assert_eq!(steps, [(10, 0.0), (20, 60.0), (30, 100.0)]);
        assert!(window.recent.len() <= 12);
    }

    #[test]
    fn what_was_counted_before_the_first_sample_is_no_rate() {
        let mut window = Window::new(Duration::from_secs(10));
        let turn = window.take(Instant::now(), sample(1_000_000));
        assert_eq!(turn.lately[0].1.rate, 0.0);
        assert!(turn.of_step.is_none());
    }
}
