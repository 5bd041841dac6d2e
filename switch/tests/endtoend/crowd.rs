//! Many clients at once, each with a connection that is kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::Conn;

/// Clients that ask without a pause until they are told to end.
pub struct Crowd {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub answered: u64,
    /// Of each that did not get status 200: how it failed.
    pub failed: Vec<String>,
}

impl Crowd {
    /// So many clients GET this path.
    pub fn start(clients: usize, address: SocketAddr, path: &'static str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let over = over.clone();
            std::thread::spawn(move || ask_until(&over, address, path))
        };
        Self {
            clients: (0..clients).map(client).collect(),
            over,
        }
    }

    /// Ends the crowd and counts.
    pub fn end(self) -> Tally {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let one = client.join().expect("a client does not panic");
            all.answered += one.answered;
            all.failed.extend(one.failed);
        }
        all
    }
}

fn ask_until(over: &AtomicBool, address: SocketAddr, path: &str) -> Tally {
    let mut tally = Tally::default();
    let mut conn = Conn::open(address);
    while !over.load(Ordering::Relaxed) {
        let failed = match conn.get(path) {
            Ok(answer) if answer.status == 200 => {
                tally.answered += 1;
                // Two cores are shared with everything that is tested.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            Ok(answer) => format!("{} {:?}", answer.status, answer.field("proxy-status")),
            Err(error) => error.to_string(),
        };
        tally.failed.push(failed);
        conn = Conn::open(address);
    }
    tally
}
