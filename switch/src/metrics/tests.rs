//! What was recorded by several shards against the text that a scraper gets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::*;
use crate::endpoint::{Address, Endpoint, Health, State};
use crate::error::Reason;
use crate::trace::TraceId;

#[test]
fn the_text_agrees_with_what_two_shards_recorded() {
    let site = Site::new(1000);
    let [first, second] = [site.hub.shard(), site.hub.shard()];
    for (shard, times) in [(&first, 2), (&second, 3)] {
        for _ in 0..times {
            shard.request_started(site.route);
            shard.request(&site.done());
            shard.attempt(&site.backend, Some(200), Duration::from_millis(2), None);
        }
    }
    second.request_started(site.route);
    second.attempt(&site.backend, None, Duration::from_secs(11), None);

    let page = Page::of(&site.hub);
    let requests = "pointsman_requests_total{code=200,listener=web,method=GET,\
                    protocol=HTTP/1.1,route=shop}";
    assert_eq!(page.value(requests), 5.0);
    assert_eq!(
        page.value("pointsman_request_bytes_total{route=shop}"),
        50.0
    );
    assert_eq!(
        page.value("pointsman_response_bytes_total{route=shop}"),
        100.0
    );
    assert_eq!(page.value("pointsman_requests_in_flight{route=shop}"), 1.0);
    let attempts = "pointsman_backend_requests_total{backend=a,code_class=2xx,pool=app}";
    assert_eq!(page.value(attempts), 5.0);
    let unanswered = "pointsman_backend_requests_total{backend=a,code_class=none,pool=app}";
    assert_eq!(page.value(unanswered), 1.0);
    let took = "pointsman_backend_request_duration_seconds";
    assert_eq!(
        page.value(&format!("{took}_bucket{{backend=a,le=0.001,pool=app}}")),
        0.0
    );
    assert_eq!(
        page.value(&format!("{took}_bucket{{backend=a,le=0.0025,pool=app}}")),
        5.0
    );
    assert_eq!(
        page.value(&format!("{took}_bucket{{backend=a,le=10,pool=app}}")),
        5.0
    );
    assert_eq!(
        page.value(&format!("{took}_bucket{{backend=a,le=+Inf,pool=app}}")),
        6.0
    );
    assert_eq!(
        page.value(&format!("{took}_count{{backend=a,pool=app}}")),
        6.0
    );
    assert!((page.value(&format!("{took}_sum{{backend=a,pool=app}}")) - 11.01).abs() < 1e-9);
}

#[test]
fn every_row_of_the_table_appears_once_it_is_fed_with_the_labels_it_declares() {
    let site = Site::new(1);
    site.feed_everything();
    // The cap of one series makes a second route appear as a dropped series.
    let other = RequestDone {
        route: Some(site.hub.route_id("other")),
        ..site.done()
    };
    site.hub.shard().request(&other);

    let page = Page::of(&site.hub);
    for metric in table() {
        assert_eq!(
            page.types.get(metric.name).map(String::as_str),
            Some(metric.kind.word())
        );
        assert_eq!(
            page.helps.get(metric.name).map(String::as_str),
            Some(metric.help)
        );
        let sample = match metric.kind {
            Kind::Histogram => format!("{}_count", metric.name),
            Kind::Counter | Kind::Gauge => metric.name.to_owned(),
        };
        let mut labels = metric.labels.to_vec();
        labels.sort_unstable();
        let found: Vec<_> = page.samples.keys().filter(|key| key.0 == sample).collect();
        assert!(!found.is_empty(), "{} is not shown", metric.name);
        for (_, shown) in found {
            assert_eq!(shown.keys().collect::<Vec<_>>(), labels, "{}", metric.name);
        }
    }
    assert_eq!(
        page.types.len(),
        table().len(),
        "a family that is not in the table"
    );
}

#[test]
fn names_and_labels_keep_the_conventions_of_prometheus() {
    for metric in table() {
        let own = metric.name.starts_with("pointsman_") || metric.name.starts_with("process_");
        assert!(own, "{}", metric.name);
        let total = metric.name.ends_with("_total");
        assert_eq!(total, metric.kind == Kind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
        let page = reference_markdown();
        assert!(page.contains(&format!("| `{}` | {}", metric.name, metric.kind.word())));
    }
}

#[test]
fn series_of_a_removed_backend_vanish_while_route_and_pool_counters_stay() {
    let site = Site::new(1000);
    let gone = endpoint(8, "b");
    site.hub
        .set_endpoints(vec![(site.backend.clone(), 1), (gone.clone(), 1)]);
    let shard = site.hub.shard();
    shard.request(&site.done());
    shard.retry(site.pool, true);
    shard.attempt(&gone, Some(200), Duration::ZERO, None);
    site.hub.health_check(&gone, true, Duration::ZERO);
    let before = Page::of(&site.hub);
    assert!(
        before
            .samples
            .keys()
            .any(|(_, labels)| labels.get("backend") == Some(&"b".into()))
    );

    site.hub.set_endpoints(vec![(site.backend.clone(), 1)]);
    shard.attempt(&gone, Some(200), Duration::ZERO, None);

    let after = Page::of(&site.hub);
    assert!(
        !after
            .samples
            .keys()
            .any(|(_, labels)| labels.get("backend") == Some(&"b".into()))
    );
    for (key, value) in before.samples {
        let counter = key.0.starts_with("pointsman_") && key.0.ends_with("_total");
        if counter && !key.1.contains_key("backend") {
            assert!(
                after.samples.get(&key).is_some_and(|now| *now >= value),
                "{key:?}"
            );
        }
    }
}

#[test]
fn a_backend_that_returns_is_counted_again_from_the_moment_it_returns() {
    let site = Site::new(1000);
    let shard = site.hub.shard();
    shard.attempt(&site.backend, Some(200), Duration::ZERO, None);
    site.hub.set_endpoints(Vec::new());
    site.hub.set_endpoints(vec![(site.backend.clone(), 1)]);
    shard.attempt(&site.backend, Some(200), Duration::ZERO, None);
    shard.attempt(&site.backend, Some(200), Duration::ZERO, None);
    let key = "pointsman_backend_requests_total{backend=a,code_class=2xx,pool=app}";
    assert_eq!(Page::of(&site.hub).value(key), 2.0);
}

#[test]
fn a_family_at_its_cap_keeps_the_first_series_and_counts_the_rest() {
    let site = Site::new(3);
    let [first, second] = [site.hub.shard(), site.hub.shard()];
    for status in 200..300 {
        for shard in [&first, &second] {
            shard.request(&RequestDone {
                status,
                ..site.done()
            });
        }
    }
    let page = Page::of(&site.hub);
    let codes: Vec<_> = page
        .samples
        .iter()
        .filter(|((name, _), _)| name == "pointsman_requests_total")
        .map(|((_, labels), value)| (labels["code"].as_str(), *value))
        .collect();
    assert_eq!(codes, [("200", 2.0), ("201", 2.0), ("202", 2.0)]);
    let dropped = "pointsman_metrics_dropped_series_total{family=pointsman_requests_total}";
    assert_eq!(
        page.value(dropped),
        3.0,
        "no more are remembered than are shown"
    );
    assert_eq!(
        page.value("pointsman_request_bytes_total{route=shop}"),
        2000.0
    );
}

#[test]
fn a_backend_shows_exactly_one_state() {
    let site = Site::new(1000);
    let cases = [
        (Health::Starting, false, 1000, State::Starting),
        (Health::Up, false, 1000, State::Up),
        (Health::Up, false, 100, State::SlowStart),
        (Health::Up, true, 100, State::Ejected),
        (Health::Down, true, 1000, State::Down),
        (Health::Unresolved, false, 1000, State::Unresolved),
    ];
    for (health, ejected, share, expected) in cases {
        site.backend.set_health(health);
        site.backend.set_ejected(ejected);
        site.backend.set_share(share);
        let page = Page::of(&site.hub);
        for state in State::ALL {
            let key = format!(
                "pointsman_backend_state{{backend=a,pool=app,state={}}}",
                state.word()
            );
            assert_eq!(page.value(&key), f64::from(u8::from(state == expected)));
        }
        let weight = page.value("pointsman_backend_effective_weight{backend=a,pool=app}");
        let whole = page.value("pointsman_backend_weight{backend=a,pool=app}");
        assert_eq!(weight, whole * f64::from(share) / 1000.0);
        let up = page.value("pointsman_backend_up{backend=a,pool=app}");
        assert_eq!(up, f64::from(u8::from(expected.serves())));
    }
}

#[test]
fn two_addresses_of_one_backend_make_one_series() {
    let site = Site::new(1000);
    let twin = endpoint(9, "a");
    site.hub
        .set_endpoints(vec![(site.backend.clone(), 1), (twin.clone(), 2)]);
    twin.set_health(Health::Up);
    let shard = site.hub.shard();
    shard.attempt(&site.backend, Some(500), Duration::ZERO, None);
    shard.attempt(&twin, Some(500), Duration::ZERO, None);
    let page = Page::of(&site.hub);
    let failed = "pointsman_backend_requests_total{backend=a,code_class=5xx,pool=app}";
    assert_eq!(page.value(failed), 2.0);
    assert_eq!(page.value("pointsman_backend_up{backend=a,pool=app}"), 1.0);
    assert_eq!(
        page.value("pointsman_backend_weight{backend=a,pool=app}"),
        3.0
    );
}

#[test]
fn totals_say_the_same_as_the_text() {
    let site = Site::new(1000);
    let shard = site.hub.shard();
    let _under_way = site.backend.enter();
    for millis in [2, 2, 2, 400] {
        shard.request_started(site.route);
        let took = Duration::from_millis(millis);
        shard.request(&RequestDone {
            took,
            reason: Some(Reason::Timeout),
            ..site.done()
        });
        shard.attempt(&site.backend, Some(404), took, None);
    }
    shard.connection(site.listener, Delta::Opened);
    let totals = site.hub.totals();
    assert_eq!(totals.routes[0].requests, 4);
    assert_eq!(totals.routes[0].errors, 4);
    assert_eq!(totals.listeners[0].connections, 1);
    let backend = &totals.backends[0];
    assert_eq!(
        (backend.classes.client_error, backend.classes.all()),
        (4, 4)
    );
    assert_eq!((backend.in_flight, backend.taken), (1, 1));
    assert!(
        backend
            .p50
            .is_some_and(|p50| (0.001..=0.0025).contains(&p50)),
        "{backend:?}"
    );
    assert!(
        backend.p99.is_some_and(|p99| (0.25..=0.5).contains(&p99)),
        "{backend:?}"
    );
    let json = serde_json::to_value(&totals).expect("totals are plain data");
    assert_eq!(json["backends"][0]["classes"]["4xx"], 4);
}

#[test]
fn a_scrape_under_load_never_sees_a_counter_go_down() {
    let site = Site::new(1000);
    let (shard, done) = (site.hub.shard(), site.done());
    let writer = std::thread::spawn(move || {
        for status in (200..250).cycle().take(200_000) {
            shard.request_started(done.route.unwrap_or(0));
            shard.request(&RequestDone {
                status,
                ..done.clone()
            });
        }
    });
    let mut last = 0;
    while !writer.is_finished() {
        let now = site
            .hub
            .totals()
            .routes
            .first()
            .map_or(0, |route| route.requests);
        assert!(now >= last);
        last = now;
    }
    writer.join().expect("the writer ends");
    let route = site.hub.totals().routes.remove(0);
    assert_eq!((route.requests, route.in_flight), (200_000, 0));
}

#[test]
fn the_figures_of_the_contact_addresses_are_shown_until_others_replace_them() {
    let hub = Hub::new(1000);
    assert!(!hub.encode().contains("pointsman_contact_"));
    let mut figures = contact_figures();
    hub.set_contact(Some(figures.clone()));
    let page = Page::of(&hub);
    let expected = [
        (
            "info{address=192.0.2.10,announce=vrrp,group=51/ipv4,interface=eth0}",
            1.0,
        ),
        ("role{address=192.0.2.10,role=active}", 1.0),
        ("role{address=192.0.2.10,role=standby}", 0.0),
        ("role{address=192.0.2.10,role=out}", 0.0),
        ("priority{address=192.0.2.10}", 150.0),
        (
            "transitions_total{address=192.0.2.10,reason=silence,to=active}",
            1.0,
        ),
        ("takeover_duration_seconds{address=192.0.2.10}", 0.0235),
        ("standbys{address=192.0.2.10}", 1.0),
        ("conflicts_total{address=192.0.2.10}", 2.0),
        ("relayed_packets_total{address=192.0.2.10}", 3.0),
        ("adverts_total{address=192.0.2.10,direction=in}", 4.0),
        ("adverts_total{address=192.0.2.10,direction=out}", 5.0),
        ("dropped_total{reason=checksum}", 7.0),
        ("dropped_total{reason=hop-limit}", 0.0),
        ("peer_up{peer=10.0.0.11}", 1.0),
        ("peer_policy_differs{peer=10.0.0.11}", 1.0),
        ("peer_losses_total{peer=10.0.0.11}", 6.0),
        ("loop_delay_seconds_bucket{le=0.001}", 0.0),
        ("loop_delay_seconds_bucket{le=0.0025}", 1.0),
    ];
    for (series, value) in expected {
        assert_eq!(
            page.value(&format!("pointsman_contact_{series}")),
            value,
            "{series}"
        );
    }

    figures.addresses.clear();
    figures.peers[0].policy_differs = None;
    hub.set_contact(Some(figures));
    let text = hub.encode();
    for gone in [
        "pointsman_contact_role{",
        "pointsman_contact_peer_policy_differs{",
    ] {
        assert!(!text.contains(gone), "{text}");
    }
    assert!(text.contains("pointsman_contact_peer_up{"), "{text}");
    hub.set_contact(None);
    assert!(!hub.encode().contains("pointsman_contact_"));
}

#[test]
fn sources_of_backends_are_shown_until_they_are_wanted_no_more() {
    let hub = Hub::new(1000);
    hub.discovered("file a", Some(3), true);
    hub.discovered("file a", None, false);
    let page = Page::of(&hub);
    let value = |name: &str| page.value(&format!("pointsman_discovery_{name}"));
    assert_eq!(value("up{source=file a}"), 0.0);
    assert_eq!(
        value("backends{source=file a}"),
        3.0,
        "what was found holds"
    );
    assert_eq!(value("lookups_total{result=failure,source=file a}"), 1.0);
    assert_eq!(value("changes_total{source=file a}"), 1.0);
    hub.keep_sources(std::iter::once("file b".to_owned()));
    assert!(!hub.encode().contains("pointsman_discovery_"));
}

#[test]
fn two_groups_with_one_label_do_not_spoil_the_page() {
    let hub = Hub::new(1000);
    let mut figures = contact_figures();
    figures.addresses.push(AddressFigures {
        priority: 1,
        ..figures.addresses[0].clone()
    });
    hub.set_contact(Some(figures));
    let page = Page::of(&hub);
    let priority = "pointsman_contact_priority{address=192.0.2.10}";
    assert_eq!(page.value(priority), 150.0);
}

#[test]
fn a_group_is_labelled_with_an_address_that_is_its_own() {
    let label = |addresses: &[&str]| {
        let parsed = addresses
            .iter()
            .map(|text| text.parse().expect("it is one"));
        address_label(&parsed.collect::<Vec<_>>())
    };
    assert_eq!(label(&["192.0.2.10", "192.0.2.11"]), "192.0.2.10");
    assert_eq!(label(&["fe80::10", "2001:db8::10"]), "2001:db8::10");
    assert_eq!(label(&["fe80::10"]), "fe80::10");
    assert_eq!(label(&[]), "");
}

#[test]
fn a_tally_counts_by_word_and_shows_words_at_zero() {
    let mut tally = Tally::of(&["a", "b"]);
    tally.add("b", 2);
    tally.add("c", 1);
    tally.add("b", 1);
    assert_eq!(
        tally.iter().collect::<Vec<_>>(),
        [("a", 0), ("b", 3), ("c", 1)]
    );
    assert_eq!((tally.get("b"), tally.get("z")), (3, 0));
}

#[test]
fn names_keep_their_ids() {
    let hub = Hub::new(10);
    let ids = ["a", "b", "a", "c"].map(|name| hub.pool_id(name));
    assert_eq!(ids, [0, 1, 0, 2]);
    assert_eq!(hub.route_id("b"), 0);
}

#[test]
fn a_name_with_quotes_and_line_breaks_stays_one_label() {
    let hub = Hub::new(10);
    let route = hub.route_id("a\"} 1\nb\\");
    hub.shard().request_started(route);
    let line = "pointsman_requests_in_flight{route=\"a\\\"} 1\\nb\\\\\"} 1";
    assert!(
        hub.encode().lines().any(|shown| shown == line),
        "{}",
        hub.encode()
    );
}

#[test]
fn open_metrics_hold_the_same_and_exemplars() {
    let site = Site::new(1000);
    site.feed_everything();
    let [first, second] = [site.hub.shard(), site.hub.shard()];
    for (shard, trace, millis) in [(&first, 1, 3), (&second, 2, 4), (&first, 3, 70_000)] {
        shard.request_started(site.route);
        shard.request(&RequestDone {
            took: Duration::from_millis(millis),
            trace: Some(TraceId(trace)),
            ..site.done()
        });
    }
    let text = site.hub.encode_open_metrics();
    let plain = Page::of(&site.hub);
    let mut types = 0;
    for metric in table() {
        let name = match metric.kind {
            Kind::Counter => metric
                .name
                .strip_suffix("_total")
                .expect("a counter's ending"),
            _ => metric.name,
        };
        let line = format!("# TYPE {name} {}\n", metric.kind.word());
        types += usize::from(text.contains(&line));
    }
    assert_eq!(types, plain.types.len());
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples, plain.samples.len());
    let exemplar = |edge: &str| {
        let bucket = format!(
            "pointsman_request_duration_seconds_bucket{{route=\"shop\",pool=\"app\",le=\"{edge}\"}}"
        );
        let line = text.lines().find(|line| line.starts_with(&bucket));
        let line = line.expect("a bucket");
        let words = line.split(" # ").nth(1)?.split(' ').take(2);
        Some(words.collect::<Vec<_>>().join(" "))
    };
    let shown = |trace: u32, took: &str| Some(format!("{{trace_id=\"{trace:032x}\"}} {took}"));
    assert_eq!(exemplar("0.005"), shown(2, "0.004"), "the latest");
    assert_eq!(exemplar("+Inf"), shown(3, "70.0"));
    assert_eq!(exemplar("1.0"), None);
}

/// A hub with one listener, route, pool and backend.
struct Site {
    hub: Arc<Hub>,
    listener: u32,
    route: u32,
    pool: u32,
    backend: Arc<Endpoint>,
}

impl Site {
    fn new(max_series: usize) -> Self {
        let hub = Hub::new(max_series);
        let backend = endpoint(7, "a");
        hub.set_endpoints(vec![(backend.clone(), 1)]);
        let (listener, route) = (hub.listener_id("web"), hub.route_id("shop"));
        let pool = hub.pool_id("app");
        Self {
            hub,
            listener,
            route,
            pool,
            backend,
        }
    }

    fn done(&self) -> RequestDone {
        RequestDone {
            listener: self.listener,
            route: Some(self.route),
            pool: Some(self.pool),
            status: 200,
            method: Method::Get,
            protocol: Protocol::Http11,
            reason: None,
            took: Duration::from_millis(3),
            request_bytes: 10,
            response_bytes: 20,
            trace: None,
        }
    }

    fn feed_everything(&self) {
        let load = b"TEXT cpu_utilization=0.5";
        self.backend.load.hear(load, crate::endpoint::clock::now());
        self.hub.discovered("dns app.test:80", Some(2), true);
        let shard = self.hub.shard();
        shard.request_started(self.route);
        shard.request(&RequestDone {
            reason: Some(Reason::Timeout),
            ..self.done()
        });
        shard.attempt(&self.backend, None, Duration::ZERO, None);
        shard.connect(self.pool, &self.backend, Duration::ZERO);
        shard.retry_refused(self.pool);
        shard.hedge(self.pool, true);
        shard.queued(self.pool);
        shard.unqueued(self.pool, Duration::from_millis(3));
        shard.queue_timeout(self.pool);
        let most = crate::endpoint::Most::Fixed(3);
        self.backend.limit.set(most, &Default::default());
        shard.connection(self.listener, Delta::Opened);
        shard.connection_refused(self.listener, false);
        shard.request_ambiguous(self.listener);
        shard.tls_handshake(self.listener, true, Some("TLSv1_3"));
        shard.tcp_bytes(self.listener, 1, 2);
        self.hub.health_check(&self.backend, true, Duration::ZERO);
        self.hub
            .transition(&self.backend, State::Starting, State::Up);
        self.hub.ejected("app", "status");
        self.hub.set_panics(vec![("app".to_owned(), true)]);
        self.hub.reload(true);
        self.hub.config_info("digest");
        let certificate = ("web".to_owned(), "a.example".to_owned(), 1);
        self.hub.set_certificates(vec![certificate]);
        self.hub.set_contact(Some(contact_figures()));
        self.hub.set_direct(Some(direct_figures()));
        self.hub
            .set_agents([(("app".to_owned(), "ready"), 1)].into());
        self.hub.agent_registered("app");
        self.hub.agent_lost("app");
        self.hub.agent_refused("stranger");
        self.hub.watch_traces(Arc::default());
        for what in [Watched::EventsDropped, Watched::AccessLogDropped] {
            self.hub.watch(what, Arc::new(AtomicU64::new(1)));
        }
    }
}

/// A switch that passes packets on.
fn direct_figures() -> DirectFigures {
    DirectFigures {
        interfaces: vec![("eth0".to_owned(), "tcx")],
        services: vec![DirectService {
            listener: "web".to_owned(),
            service: "tcp 192.0.2.10:80".to_owned(),
            dropped: vec![("no-backend", 1)],
            ..DirectService::default()
        }],
        backends: vec![DirectBackend {
            pool: "app".to_owned(),
            backend: "a".to_owned(),
            state: "active".to_owned(),
            ..DirectBackend::default()
        }],
        passed: vec![("no-service", 1)],
        unlearnt: 1,
        told: 3,
        copied: 4,
        ignored: vec![("unknown-backend", 2)],
    }
}

/// A switch that holds an address, with a peer.
fn contact_figures() -> ContactFigures {
    let mut figures = ContactFigures {
        addresses: vec![AddressFigures {
            address: "192.0.2.10".to_owned(),
            announce: "vrrp",
            group: "51/ipv4".to_owned(),
            interface: "eth0".to_owned(),
            role: "active",
            priority: 150,
            takeover: Some(Duration::from_micros(23_500)),
            standbys: 1,
            conflicts: 2,
            relayed_packets: 3,
            adverts_in: 4,
            adverts_out: 5,
            ..AddressFigures::default()
        }],
        peers: vec![PeerFigures {
            peer: "10.0.0.11".to_owned(),
            up: true,
            policy_differs: Some(true),
            losses: 6,
        }],
        dropped: Tally::of(&["checksum", "hop-limit"]),
        ..ContactFigures::default()
    };
    let silence = ("active", "silence");
    figures.addresses[0].transitions.add(silence, 1);
    figures.dropped.add("checksum", 7);
    figures.delay.record(Duration::from_micros(1500));
    figures
}

fn endpoint(id: u32, name: &str) -> Arc<Endpoint> {
    let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    Arc::new(Endpoint::new(id, "app".into(), name.into(), address))
}

/// A scrape, parsed.
#[derive(Debug, Default)]
struct Page {
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Page {
    fn of(hub: &Hub) -> Self {
        let mut page = Page::default();
        for line in hub.encode().lines() {
            let (map, rest) = match (line.strip_prefix("# TYPE "), line.strip_prefix("# HELP ")) {
                (Some(rest), _) => (&mut page.types, rest),
                (_, Some(rest)) => (&mut page.helps, rest),
                _ => {
                    let (key, value) = sample(line);
                    assert_eq!(page.samples.insert(key, value), None, "twice: {line}");
                    continue;
                }
            };
            let (name, text) = rest.split_once(' ').expect("a name and a text");
            map.insert(name.into(), text.replace("\\\"", "\""));
        }
        page
    }

    /// The value of `name{label=value,...}`, labels in alphabetical order.
    fn value(&self, wanted: &str) -> f64 {
        let shown = |(name, labels): &(String, BTreeMap<String, String>)| {
            let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{name}{{{}}}", labels.join(","))
        };
        let found = self.samples.iter().find(|(key, _)| shown(key) == wanted);
        *found
            .unwrap_or_else(|| panic!("{wanted} is missing in {:#?}", self.samples))
            .1
    }
}

fn sample(line: &str) -> ((String, BTreeMap<String, String>), f64) {
    let (series, value) = line.rsplit_once(' ').expect("a series and a value");
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').expect("a closing brace")),
        None => (series, ""),
    };
    let pair = |pair: &str| {
        let (label, value) = pair.split_once('=').expect("label=value");
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        (label.to_owned(), value.expect("a quoted value").to_owned())
    };
    let labels = labels.split_terminator(',').map(pair).collect();
    ((name.to_owned(), labels), value.parse().expect("a number"))
}
