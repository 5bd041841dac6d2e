//! Backends given by name: looked up at the start and again every ten seconds. A failed lookup
//! changes nothing; addresses that were found once stay until others are found.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control::random::SplitMix;

/// Between two lookups.
const INTERVAL: Duration = Duration::from_secs(10);
/// After a first failure; doubled with each further one up to [`LONGEST`].
const RETRY: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(30);
/// For one lookup.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are used; the rest is left out.
pub const MAX_ADDRESSES: usize = 64;

/// A host name and port.
pub type Name = (String, u16);

/// The result of one lookup.
#[derive(Debug)]
pub struct Found {
    /// What was looked up.
    pub name: Name,
    /// The addresses in order, none twice; or why there are none.
    pub addresses: Result<Vec<SocketAddr>, String>,
}

/// Looks up every name that the policy has.
#[derive(Debug)]
pub struct Discovery {
    tasks: HashMap<Name, Task>,
    found: mpsc::Sender<Found>,
    random: SplitMix,
}

impl Discovery {
    /// Results are sent there.
    pub fn new(found: mpsc::Sender<Found>, seed: u64) -> Self {
        Self {
            tasks: HashMap::new(),
            found,
            random: SplitMix::new(seed),
        }
    }

    /// Looks up these names and no others.
    pub fn update(&mut self, wanted: impl Iterator<Item = Name>) {
        let mut kept = HashMap::new();
        for name in wanted {
            if kept.contains_key(&name) {
                continue;
            }
            let task = self.tasks.remove(&name).unwrap_or_else(|| {
                let random = SplitMix::new(self.random.next_u64());
                Task(tokio::spawn(watch(
                    name.clone(),
                    self.found.clone(),
                    random,
                )))
            });
            kept.insert(name, task);
        }
        self.tasks = kept;
    }
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(name: Name, found: mpsc::Sender<Found>, mut random: SplitMix) {
    let mut failures = 0;
    loop {
        let addresses = lookup(&name).await;
        failures = if addresses.is_ok() { 0 } else { failures + 1 };
        if found
            .send(Found {
                name: name.clone(),
                addresses,
            })
            .await
            .is_err()
        {
            return;
        }
        tokio::time::sleep(random.jittered(pause(failures), 0.2)).await;
    }
}

async fn lookup((host, port): &Name) -> Result<Vec<SocketAddr>, String> {
    let lookup = tokio::net::lookup_host((host.as_str(), *port));
    let addresses = match tokio::time::timeout(TIMEOUT, lookup).await {
        Ok(Ok(addresses)) => tidy(addresses.collect()),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    };
    if addresses.is_empty() {
        Err("it has no address".to_owned())
    } else {
        Ok(addresses)
    }
}

/// The order of a name server's answer changes from lookup to lookup and means nothing.
fn tidy(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

fn pause(failures: u32) -> Duration {
    match failures {
        0 => INTERVAL,
        _ => RETRY
            .saturating_mul(1 << (failures - 1).min(8))
            .min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_failures_double_up_to_thirty_seconds() {
        let got: Vec<u64> = (0..9).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(got, [10, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[test]
    fn addresses_are_sorted_each_once_and_bounded() {
        let mut many: Vec<SocketAddr> = (0..100)
            .rev()
            .map(|n| SocketAddr::from(([10, 0, 0, n], 80)))
            .collect();
        many.push(many[0]);
        let got = tidy(many);
        assert_eq!(got.len(), MAX_ADDRESSES);
        assert_eq!(got[0], SocketAddr::from(([10, 0, 0, 0], 80)));
    }

    #[tokio::test]
    async fn a_name_is_found_and_an_unknown_one_says_why() {
        let (sender, mut found) = mpsc::channel(4);
        let mut discovery = Discovery::new(sender, 1);
        discovery.update([("localhost".to_owned(), 80)].into_iter());
        let got = found
            .recv()
            .await
            .expect("a result")
            .addresses
            .expect("it has addresses");
        assert!(
            got.iter().all(|address| address.ip().is_loopback()),
            "{got:?}"
        );
        discovery.update([("nowhere.invalid".to_owned(), 80)].into_iter());
        let got = found.recv().await.expect("a result");
        assert_eq!(got.name.0, "nowhere.invalid");
        assert!(got.addresses.is_err());
    }
}
