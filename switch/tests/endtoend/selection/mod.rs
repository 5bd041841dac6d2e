//! Who is chosen, seen from outside: real clients, the program, real servers.

mod groups;
mod load_reports;
mod locality;
mod slow;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::Kept;

/// What came of requests.
#[derive(Default)]
struct Tally {
    /// Sorted.
    latencies: Vec<Duration>,
    /// By the server that answered.
    by_server: HashMap<String, usize>,
    took: Duration,
}

impl Tally {
    fn count(&self) -> usize {
        self.latencies.len()
    }

    fn quantile(&self, part: f64) -> Duration {
        let place = (self.count() as f64 * part) as usize;
        self.latencies[place.min(self.count() - 1)]
    }

    fn share(&self, server: &str) -> f64 {
        let own = self.by_server.get(server).copied().unwrap_or(0);
        own as f64 / self.count() as f64
    }

    fn rate(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }
}

/// Lets so many clients, each on a connection of its own, ask one request after the other while
/// `meanwhile` runs; `path` names the path of each client's next request. What they got since
/// `meanwhile` has said so is counted.
fn crowd(
    address: SocketAddr,
    clients: u64,
    path: impl Fn(u64, u64) -> String + Sync,
    meanwhile: impl FnOnce(&dyn Fn()),
) -> Tally {
    let over = AtomicBool::new(false);
    let counted: Mutex<(Instant, Tally)> = Mutex::new((Instant::now(), Tally::default()));
    let ask = |client: u64| {
        let mut kept = Kept::open(address);
        let mut step = 0;
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let server = kept.get(&path(client, step)).expect("an answer");
            step += 1;
            let mut counted = counted.lock().unwrap();
            if began >= counted.0 {
                counted.1.latencies.push(began.elapsed());
                let server = server.trim().to_owned();
                *counted.1.by_server.entry(server).or_default() += 1;
            }
        }
    };
    let anew = || *counted.lock().unwrap() = (Instant::now(), Tally::default());
    std::thread::scope(|scope| {
        for client in 0..clients {
            scope.spawn(move || ask(client));
        }
        meanwhile(&anew);
        over.store(true, Ordering::Relaxed);
    });
    let (began, mut tally) = counted.into_inner().unwrap();
    tally.took = began.elapsed();
    tally.latencies.sort();
    tally
}
