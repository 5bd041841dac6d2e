//! What it costs to be watched: metrics of one request with one attempt, one scrape, and one line
//! of the access log.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use pointsman::access_log::{AccessLog, Entry};
use pointsman::endpoint::{Address, Endpoint};
use pointsman::metrics::{Hub, Method, Protocol, RequestDone};
use pointsman_config::policy::{self, LogField, LogTarget};

criterion_group!(benches, hot_path, scrape, log_line);
criterion_main!(benches);

fn hot_path(criterion: &mut Criterion) {
    let (hub, backends) = site();
    let shard = hub.shard();
    let routes: Vec<_> = (0..10)
        .map(|n| hub.route_id(&format!("route-{n}")))
        .collect();
    let mut turn = 0;
    criterion.bench_function("metrics/request_and_attempt", |bencher| {
        bencher.iter(|| {
            turn += 1;
            let route = routes[turn % routes.len()];
            shard.request_started(black_box(route));
            let took = Duration::from_micros(300 + turn as u64 % 4096);
            shard.attempt(
                black_box(&backends[turn % backends.len()]),
                Some(200),
                took,
                None,
            );
            shard.request(black_box(&done(route, took)));
        });
    });
}

fn scrape(criterion: &mut Criterion) {
    let (hub, backends) = site();
    for shard in [hub.shard(), hub.shard(), hub.shard(), hub.shard()] {
        for route in (0..10).map(|n| hub.route_id(&format!("route-{n}"))) {
            shard.request(&done(route, Duration::from_millis(4)));
        }
        for backend in &backends {
            shard.attempt(backend, Some(200), Duration::from_millis(3), None);
        }
    }
    criterion.bench_function("metrics/encode_30_backends", |bencher| {
        bencher.iter(|| hub.encode().len());
    });
}

fn log_line(criterion: &mut Criterion) {
    let fields = vec![
        LogField::Time,
        LogField::Client,
        LogField::Method,
        LogField::Host,
        LogField::Path,
        LogField::Status,
        LogField::Backend,
        LogField::Duration,
        LogField::UserAgent,
    ];
    let target = LogTarget::File("/dev/null".into());
    let log = AccessLog::open(&policy::AccessLog { target, fields }).expect("/dev/null opens");
    let writer = log.writer();
    let entry = Entry {
        time: SystemTime::now(),
        listener: "web",
        client: Some(Ipv4Addr::LOCALHOST.into()),
        method: Some(b"GET"),
        host: Some(b"shop.example.com"),
        path: Some(b"/v1/orders/1234567890"),
        query: None,
        protocol: Protocol::Http11,
        status: 200,
        reason: None,
        route: Some("shop"),
        pool: Some("app"),
        backend: Some("10.0.0.1:8080"),
        attempts: 1,
        duration: Duration::from_micros(1234),
        backend_duration: None,
        request_bytes: 0,
        response_bytes: 1024,
        trace: None,
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        referer: None,
    };
    criterion.bench_function("access_log/line_of_nine_fields", |bencher| {
        bencher.iter(|| writer.line(black_box(&entry)));
    });
}

fn site() -> (Arc<Hub>, Vec<Arc<Endpoint>>) {
    let hub = Hub::new(10_000);
    let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    let backend = |id| {
        let (pool, name) = (format!("pool-{}", id % 3), format!("backend-{id}"));
        Arc::new(Endpoint::new(id, pool, name, address.clone()))
    };
    let backends: Vec<_> = (0..30).map(backend).collect();
    hub.set_endpoints(
        backends
            .iter()
            .map(|backend| (backend.clone(), 1))
            .collect(),
    );
    (hub, backends)
}

fn done(route: u32, took: Duration) -> RequestDone {
    RequestDone {
        listener: 0,
        route: Some(route),
        pool: Some(0),
        status: 200,
        method: Method::Get,
        protocol: Protocol::Http11,
        reason: None,
        took,
        request_bytes: 0,
        response_bytes: 1024,
        trace: None,
    }
}
