//! Clients that ask at a fixed rate, whatever the answers take.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::support::PATIENCE;

/// What became of one request.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// 0: no answer came.
    pub status: u16,
    /// From the moment in which it was due, so that a server that holds a client up cannot hide the
    /// requests that it kept from being sent.
    pub since_due: Duration,
    /// From the moment in which it was sent.
    pub since_sent: Duration,
}

/// So many clients ask this rate together (a second) for so long.
pub fn ask(address: SocketAddr, clients: u32, rate: f64, time: Duration) -> Vec<Asked> {
    let gap = Duration::from_secs_f64(f64::from(clients) / rate);
    let start = Instant::now() + Duration::from_millis(100);
    let clients: Vec<_> = (0..clients)
        .map(|number| {
            let first = start + gap * number / clients;
            std::thread::spawn(move || one(address, first, gap, start + time))
        })
        .collect();
    let asked = clients
        .into_iter()
        .flat_map(|client| client.join().unwrap());
    asked.collect()
}

fn one(address: SocketAddr, mut due: Instant, gap: Duration, end: Instant) -> Vec<Asked> {
    let (mut conn, mut asked) = (Conn::open(address), Vec::new());
    while due < end && Instant::now() < end + PATIENCE {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        let status = match conn.get("/") {
            Ok(answer) => answer.status,
            Err(_) => {
                conn = Conn::open(address);
                0
            }
        };
        asked.push(Asked {
            status,
            since_due: due.elapsed(),
            since_sent: sent.elapsed(),
        });
        due += gap;
    }
    asked
}

/// The time that this share of them does not exceed.
pub fn quantile(times: impl Iterator<Item = Duration>, share: f64) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let place = (times.len() as f64 * share) as usize;
    times
        .get(place.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
