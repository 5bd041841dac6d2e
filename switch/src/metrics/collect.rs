//! The scrape: from sums to the metric families of the `prometheus` crate.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::agents;
use super::block::{EDGES, Exemplars, Histogram};
use super::contact;
use super::control;
use super::direct;
use super::discovery;
use super::hub::{Checks, State};
use super::label::{CODE_CLASSES, TLS_VERSIONS};
use super::names::NONE;
use super::process;
use super::sums::{BackendSum, Sums};
use super::table::{Family, Kind};
use crate::endpoint::{Duty, State as EndpointState};
use crate::error::Reason;
use crate::trace::Spans;

/// The one collector: all families of the table.
#[derive(Debug)]
pub(super) struct Scrape {
    state: Arc<State>,
    descs: Vec<Desc>,
}

impl Scrape {
    pub(super) fn new(state: Arc<State>) -> Self {
        let desc = |family: &Family| {
            let metric = family.metric();
            let labels = metric
                .labels
                .iter()
                .map(|label| (*label).to_owned())
                .collect();
            Desc::new(
                metric.name.into(),
                metric.help.into(),
                labels,
                HashMap::new(),
            )
            .expect("the table holds valid names and helps")
        };
        Self {
            state,
            descs: Family::ALL.iter().map(desc).collect(),
        }
    }
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        Page::of(&self.state).families()
    }
}

/// The families while they are being filled.
#[derive(Debug)]
pub(super) struct Page {
    series: Vec<Vec<proto::Metric>>,
    /// Those of histograms, by family and place among its series.
    exemplars: HashMap<(usize, usize), Exemplars>,
    left_out: Vec<u64>,
    most: usize,
}

impl Page {
    /// Everything that there is to tell now.
    pub(super) fn of(state: &State) -> Self {
        let sums = state.sums();
        let mut page = Page::new(state.max_series);
        requests(&mut page, &sums);
        routes(&mut page, &sums);
        for backend in &sums.backends {
            backend_counted(&mut page, backend);
            backend_state(&mut page, backend);
            if let Some(checks) = &backend.checks {
                backend_checks(&mut page, backend, checks);
            }
        }
        pools(&mut page, &sums);
        listeners(&mut page, &sums);
        if let Some(figures) = &*state.contact.load() {
            contact::collect(&mut page, figures);
        }
        if let Some(figures) = &*state.direct.load() {
            direct::collect(&mut page, figures);
        }
        {
            let control = state.control();
            discovery::collect(&mut page, &control.sources);
            agents::collect(&mut page, &control.agents);
            control::passive(&mut page, &control);
            control::config(&mut page, &control);
        }
        if let Some(traces) = &*state.traces.load() {
            spans(&mut page, &traces.spans);
        }
        process::collect(&mut page);
        page.tell_dropped(state);
        page
    }

    fn tell_dropped(&mut self, state: &State) {
        self.left_out[Family::Requests as usize] += state.admission.refused();
        for family in Family::ALL {
            let most = &state.dropped[*family as usize];
            let now = self.left_out[*family as usize];
            let dropped = most.fetch_max(now, Relaxed).max(now);
            if dropped > 0 {
                self.put(
                    Family::DroppedSeries,
                    &[family.metric().name],
                    dropped as f64,
                );
            }
        }
    }

    fn new(most: usize) -> Self {
        let families = Family::ALL.len();
        Self {
            series: vec![Vec::new(); families],
            exemplars: HashMap::new(),
            left_out: vec![0; families],
            most,
        }
    }

    /// Adds a counter's or a gauge's value.
    pub(super) fn put(&mut self, family: Family, labels: &[&str], value: f64) {
        self.add(family, labels, |metric| match family.metric().kind {
            Kind::Gauge => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            Kind::Counter | Kind::Histogram => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
        });
    }

    /// Adds a histogram.
    pub(super) fn put_histogram(&mut self, family: Family, labels: &[&str], histogram: &Histogram) {
        self.add(family, labels, |metric| {
            let counts = histogram.cumulative();
            let buckets = EDGES.iter().zip(counts).map(|(edge, count)| {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(*edge as f64 / 1e9);
                bucket.set_cumulative_count(count);
                bucket
            });
            let mut filled = proto::Histogram::default();
            filled.set_bucket(buckets.collect());
            filled.set_sample_count(counts[EDGES.len()]);
            filled.set_sample_sum(histogram.sum());
            metric.set_histogram(filled);
        });
        let place = self.series[family as usize].len();
        if let (Some(last), Some(shown)) = (place.checked_sub(1), histogram.shown()) {
            self.exemplars
                .entry((family as usize, last))
                .or_insert(shown);
        }
    }

    /// The series of a family.
    pub(super) fn series(&self, family: Family) -> &[proto::Metric] {
        &self.series[family as usize]
    }

    /// Those of the histogram at this place of its family.
    pub(super) fn exemplars(&self, family: Family, place: usize) -> Option<&Exemplars> {
        self.exemplars.get(&(family as usize, place))
    }

    fn add(&mut self, family: Family, values: &[&str], fill: impl FnOnce(&mut proto::Metric)) {
        let names = family.metric().labels;
        debug_assert_eq!(names.len(), values.len(), "labels of {family:?}");
        if self.series[family as usize].len() >= self.most && !names.is_empty() {
            self.left_out[family as usize] += 1;
            return;
        }
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut metric = proto::Metric::default();
        metric.set_label(names.iter().zip(values).map(pair).collect());
        fill(&mut metric);
        self.series[family as usize].push(metric);
    }

    fn families(self) -> Vec<proto::MetricFamily> {
        let family = |(family, series): (&Family, Vec<proto::Metric>)| {
            let metric = family.metric();
            let mut filled = proto::MetricFamily::default();
            filled.set_name(metric.name.to_owned());
            filled.set_help(metric.help.to_owned());
            filled.set_field_type(match metric.kind {
                Kind::Counter => proto::MetricType::COUNTER,
                Kind::Gauge => proto::MetricType::GAUGE,
                Kind::Histogram => proto::MetricType::HISTOGRAM,
            });
            filled.set_metric(series);
            filled
        };
        Family::ALL.iter().zip(self.series).map(family).collect()
    }
}

fn requests(page: &mut Page, sums: &Sums) {
    for (key, count) in &sums.requests {
        let labels = [
            sums.listener_names.get(key.listener),
            sums.route_names.get(key.route),
            &key.code.to_string(),
            key.method.word(),
            key.protocol.word(),
        ];
        page.put(Family::Requests, &labels, count.get() as f64);
    }
    for ((route, pool), took) in &sums.durations {
        let labels = [sums.route_names.get(*route), sums.pool_names.get(*pool)];
        page.put_histogram(Family::RequestDuration, &labels, took);
    }
}

fn routes(page: &mut Page, sums: &Sums) {
    for (id, route) in &sums.routes {
        let name = sums.route_names.get(*id);
        page.put(
            Family::RequestBytes,
            &[name],
            route.request_bytes.get() as f64,
        );
        page.put(
            Family::ResponseBytes,
            &[name],
            route.response_bytes.get() as f64,
        );
        if *id != NONE {
            page.put(Family::RequestsInFlight, &[name], route.in_flight() as f64);
        }
        for (reason, count) in Reason::ALL.iter().zip(&route.errors.0) {
            if count.get() > 0 {
                page.put(Family::Errors, &[name, reason.word()], count.get() as f64);
            }
        }
    }
}

fn backend_counted(page: &mut Page, backend: &BackendSum) {
    let (pool, name) = (backend.pool.as_str(), backend.name.as_str());
    for (class, count) in CODE_CLASSES.iter().zip(&backend.counted.classes) {
        page.put(
            Family::BackendRequests,
            &[pool, name, class],
            count.get() as f64,
        );
    }
    let labels = [pool, name];
    page.put_histogram(
        Family::BackendRequestDuration,
        &labels,
        &backend.counted.duration,
    );
    page.put_histogram(
        Family::BackendConnectDuration,
        &labels,
        &backend.counted.connect,
    );
}

fn backend_state(page: &mut Page, backend: &BackendSum) {
    let (pool, name) = (backend.pool.as_str(), backend.name.as_str());
    let state = backend.state();
    let on_duty = backend.duty == Duty::Active;
    page.put(Family::BackendUp, &[pool, name], one_if(state.serves()));
    for one in EndpointState::ALL {
        page.put(
            Family::BackendState,
            &[pool, name, one.word()],
            one_if(on_duty && state == one),
        );
    }
    for duty in [Duty::Draining, Duty::Disabled] {
        page.put(
            Family::BackendState,
            &[pool, name, duty.word()],
            one_if(backend.duty == duty),
        );
    }
    page.put(
        Family::BackendInFlight,
        &[pool, name],
        backend.in_flight as f64,
    );
    page.put(Family::BackendWeight, &[pool, name], backend.weight as f64);
    if let Some(limit) = backend.limit {
        page.put(Family::BackendLimit, &[pool, name], limit as f64);
    }
    if let Some(used) = backend.utilization {
        page.put(Family::BackendUtilization, &[pool, name], f64::from(used));
    }
    page.put(
        Family::BackendEffectiveWeight,
        &[pool, name],
        backend.effective_weight,
    );
}

fn backend_checks(page: &mut Page, backend: &BackendSum, checks: &Checks) {
    let (pool, name) = (backend.pool.as_str(), backend.name.as_str());
    if checks.duration.cumulative()[EDGES.len()] > 0 {
        let passed = checks.passed.get() as f64;
        page.put(Family::HealthChecks, &[pool, name, "success"], passed);
        page.put(
            Family::HealthChecks,
            &[pool, name, "failure"],
            checks.failed.get() as f64,
        );
        page.put_histogram(Family::HealthCheckDuration, &[pool, name], &checks.duration);
    }
    for (from, row) in EndpointState::ALL.iter().zip(&checks.transitions) {
        for (to, count) in EndpointState::ALL
            .iter()
            .zip(row)
            .filter(|(_, count)| count.get() > 0)
        {
            let labels = [pool, name, from.word(), to.word()];
            page.put(Family::BackendTransitions, &labels, count.get() as f64);
        }
    }
}

fn pools(page: &mut Page, sums: &Sums) {
    for (id, pool) in &sums.pools {
        let name = sums.pool_names.get(*id);
        page.put(
            Family::Retries,
            &[name, "success"],
            pool.retried.get() as f64,
        );
        page.put(
            Family::Retries,
            &[name, "failure"],
            pool.retry_failed.get() as f64,
        );
        page.put(
            Family::RetryBudgetExhausted,
            &[name],
            pool.retry_refused.get() as f64,
        );
        let hedges = [("won", &pool.hedges_won), ("lost", &pool.hedges_lost)];
        if hedges.iter().any(|(_, count)| count.get() > 0) {
            for (result, count) in hedges {
                page.put(Family::Hedges, &[name, result], count.get() as f64);
            }
        }
        page.put(Family::QueueLength, &[name], pool.waiting() as f64);
        if pool.queued.get() > 0 {
            page.put(
                Family::QueueTimeouts,
                &[name],
                pool.queue_timeouts.get() as f64,
            );
            page.put_histogram(Family::QueueDuration, &[name], &pool.queue_wait);
        }
    }
}

fn listeners(page: &mut Page, sums: &Sums) {
    for (id, listener) in &sums.listeners {
        let name = sums.listener_names.get(*id);
        page.put(
            Family::Connections,
            &[name, "active"],
            listener.open() as f64,
        );
        page.put(
            Family::ConnectionsTotal,
            &[name],
            listener.opened.get() as f64,
        );
        let refused = [
            ("limit", &listener.refused_by_limit),
            ("overload", &listener.refused_by_overload),
        ];
        for (reason, count) in refused {
            if count.get() > 0 {
                page.put(
                    Family::ConnectionsRefused,
                    &[name, reason],
                    count.get() as f64,
                );
            }
        }
        if listener.ambiguous.get() > 0 {
            page.put(
                Family::RequestsAmbiguous,
                &[name],
                listener.ambiguous.get() as f64,
            );
        }
        let results = [
            ("success", &listener.tls_done),
            ("failure", &listener.tls_failed),
        ];
        for (result, counters) in results {
            for (version, count) in TLS_VERSIONS.iter().zip(counters) {
                if count.get() > 0 {
                    let labels = [name, result, version];
                    page.put(Family::TlsHandshakes, &labels, count.get() as f64);
                }
            }
        }
        let (bytes_in, bytes_out) = (listener.bytes_in.get(), listener.bytes_out.get());
        if bytes_in + bytes_out > 0 {
            page.put(Family::TcpBytes, &[name, "in"], bytes_in as f64);
            page.put(Family::TcpBytes, &[name, "out"], bytes_out as f64);
        }
    }
}

fn spans(page: &mut Page, spans: &Spans) {
    let results = [
        ("exported", &spans.figures.exported),
        ("dropped", &spans.figures.dropped),
        ("lost", &spans.figures.lost),
    ];
    for (result, count) in results {
        page.put(Family::TraceSpans, &[result], count.load(Relaxed) as f64);
    }
    let results = [
        ("success", &spans.figures.exports),
        ("failure", &spans.figures.failures),
    ];
    for (result, count) in results {
        page.put(Family::TraceExports, &[result], count.load(Relaxed) as f64);
    }
}

pub(super) fn one_if(it_is: bool) -> f64 {
    f64::from(u8::from(it_is))
}
