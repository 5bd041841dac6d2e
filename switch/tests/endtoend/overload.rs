//! More is asked than the servers can do.

use std::time::{Duration, Instant};

use pointsman_backend::server::Options;

use crate::client::Conn;
use crate::paced;
use crate::support::*;

/// What a server can do, measured by as many clients as it has workers.
fn capacity(server: &Backend, workers: usize) -> f64 {
    let (began, time) = (Instant::now(), Duration::from_secs(2));
    let address = server.address;
    let clients: Vec<_> = (0..workers)
        .map(|_| {
            std::thread::spawn(move || {
                let (mut conn, mut count) = (Conn::open(address), 0);
                while began.elapsed() < time {
                    assert_eq!(conn.get("/").unwrap().status, 200);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let served: u32 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    f64::from(served) / began.elapsed().as_secs_f64()
}

/// Whether a server with this limit does most of what it can while three times that is asked, and
/// others are refused soon; prints figures.
fn holds_at_three_times_its_capacity(limit: &str) -> bool {
    const WORKERS: usize = 10;
    const TIME: Duration = Duration::from_secs(8);
    let server = Backend::start_with(Options {
        delay: Duration::from_millis(50),
        workers: Some(WORKERS),
        ..Options::default()
    });
    let capacity = capacity(&server, WORKERS);
    let keys = format!("limit = {limit}\nqueue = {{ size = 20 }}");
    let switch = Switch::start(&policy(&[server.address], &keys));
    let asked = paced::ask(switch.address("web"), 120, 3.0 * capacity, TIME);
    let served = asked.iter().filter(|one| one.status == 200);
    let refused = || asked.iter().filter(|one| one.status == 503);
    let goodput = served.clone().count() as f64 / TIME.as_secs_f64() / capacity;
    let refusal = |share| paced::quantile(refused().map(|one| one.since_sent), share);
    let answer = |share| paced::quantile(served.clone().map(|one| one.since_sent), share);
    say(&format!(
        "limit = {limit}, {capacity:.0} requests/s asked for 3 times: {:.1} % of it served, in \
         {:.1?} (p99 {:.1?}); {} refused in {:.1?} (p99 {:.1?})",
        goodput * 100.0,
        answer(0.5),
        answer(0.99),
        refused().count(),
        refusal(0.5),
        refusal(0.99),
    ));
    assert_eq!(asked.iter().filter(|one| one.status == 0).count(), 0);
    goodput > 0.75 && refusal(0.5) < Duration::from_millis(100)
}

// A machine that has no time for the test says nothing of the switch: then once more.

#[test]
fn at_three_times_its_capacity_a_server_with_a_limit_does_nearly_all_it_can() {
    let holds = |_| holds_at_three_times_its_capacity("{ requests = 10 }");
    assert!((0..3).any(holds));
}

#[test]
fn at_three_times_its_capacity_a_limit_is_found_that_does_as_well() {
    let holds = |_| holds_at_three_times_its_capacity("{ adaptive = true }");
    assert!((0..3).any(holds));
}
