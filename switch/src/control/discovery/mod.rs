//! Where backends are found that the policy does not list: names, SRV records, files.
//!
//! A [`Source`] tells the whole list, each time that it may have changed, and failures. It is asked
//! by a task of its own, so that none waits for another, and nothing waits for any of them: what was
//! found last stays until something else is found. Each kind of source is a file here, but for
//! `agents`, and an arm of [`Discovery::source`].

mod dns;
mod file;
pub mod known;
mod names;
mod pace;
mod srv;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use pointsman_config::policy::{Backend, Discover};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::names::Resolvers;
use crate::control::agents::{Agents, Registrar};
use crate::control::random::SplitMix;

/// After a first failure; doubled with each further one up to [`LONGEST`].
const RETRY: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(30);
/// Backends of one list that are used; the rest is left out.
const MAX_BACKENDS: usize = 10_000;

/// A place where backends are found.
pub trait Source: Send {
    /// Waits until there is something to tell, and tells it. The first call tells what there is as
    /// soon as it is known; a later one waits for a change, or for the time to look again. The next
    /// call follows at once, so that pauses after failures are the source's own matter too: see
    /// [`pause`].
    fn next(&mut self) -> Told<'_>;
}

/// What a source tells: the whole list in an order that means nothing, or why there is none. An
/// empty list is one: all backends are gone.
pub type Told<'a> = Pin<Box<dyn Future<Output = Result<Vec<Backend>, String>> + Send + 'a>>;

/// What one source has told.
#[derive(Debug)]
pub struct Found {
    /// Which one.
    pub source: Discover,
    /// The backends in order, none twice; or why there are none.
    pub backends: Result<Vec<Backend>, String>,
}

/// Asks every source that the policy has.
#[derive(Debug)]
pub struct Discovery {
    tasks: HashMap<Discover, Task>,
    resolvers: Resolvers,
    registrar: Registrar,
    found: mpsc::Sender<Found>,
    random: SplitMix,
}

impl Discovery {
    /// Results are sent there; agents register at `registrar`.
    pub fn new(found: mpsc::Sender<Found>, seed: u64, registrar: Registrar) -> Self {
        Self {
            tasks: HashMap::new(),
            resolvers: Resolvers::default(),
            registrar,
            found,
            random: SplitMix::new(seed),
        }
    }

    /// Asks these sources and no others.
    pub fn update(&mut self, wanted: impl Iterator<Item = Discover>) {
        let mut kept = HashMap::new();
        for name in wanted {
            if kept.contains_key(&name) {
                continue;
            }
            let task = self.tasks.remove(&name).unwrap_or_else(|| {
                let source = self.source(&name);
                let follow = follow(name.clone(), source, self.found.clone());
                Task(tokio::spawn(follow))
            });
            kept.insert(name, task);
        }
        self.tasks = kept;
        self.resolvers.forget_unused();
    }

    fn source(&mut self, name: &Discover) -> Box<dyn Source> {
        let random = SplitMix::new(self.random.next_u64());
        let resolvers = &mut self.resolvers;
        match name {
            Discover::Dns { host, port, lookup } => {
                let names = resolvers.of(&lookup.resolvers);
                let refresh = names::Refresh::new(lookup.refresh, random);
                Box::new(dns::Dns::new(host, *port, names, refresh))
            }
            Discover::Srv { service, lookup } => {
                let names = resolvers.of(&lookup.resolvers);
                let refresh = names::Refresh::new(lookup.refresh, random);
                Box::new(srv::Srv::new(service, names, refresh))
            }
            Discover::Agents { pool } => {
                Box::new(Agents::new(self.registrar.clone(), pool.clone()))
            }
            Discover::File { path } => Box::new(file::File::new(path.clone())),
        }
    }
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(name: Discover, mut source: Box<dyn Source>, found: mpsc::Sender<Found>) {
    loop {
        let found_now = Found {
            backends: source.next().await.map(tidy),
            source: name.clone(),
        };
        if found.send(found_now).await.is_err() {
            return;
        }
    }
}

/// The order of what a name server tells changes from lookup to lookup.
fn tidy(mut backends: Vec<Backend>) -> Vec<Backend> {
    let key = |one: &Backend| (one.addr.clone(), one.priority, one.name.clone());
    backends.sort_by_cached_key(key);
    backends.dedup_by(|one, other| one.addr == other.addr);
    backends.truncate(MAX_BACKENDS);
    backends
}

/// How long a source waits after so many failures in a row, if something has not changed before.
pub fn pause(failures: u32) -> Duration {
    RETRY
        .saturating_mul(1 << failures.saturating_sub(1).min(8))
        .min(LONGEST)
}

#[cfg(test)]
mod tests {
    use pointsman_config::policy::BackendAddr;

    use super::*;
    use crate::control::testing::registrar;

    fn backend(host: u8) -> Backend {
        let addr = std::net::SocketAddr::from(([10, 0, 0, host], 80));
        Backend {
            name: addr.to_string(),
            addr: BackendAddr::Socket(addr),
            weight: 1,
            priority: 0,
        }
    }

    #[test]
    fn pauses_after_failures_double_up_to_thirty_seconds() {
        let got: Vec<u64> = (1..9).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(got, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[test]
    fn backends_are_sorted_each_address_once() {
        let mut twin = backend(1);
        twin.name = "z".into();
        let got = tidy(vec![twin, backend(2), backend(1)]);
        assert_eq!(got, [backend(1), backend(2)]);
    }

    #[tokio::test]
    async fn a_name_is_found_and_an_unknown_one_says_why() {
        let (sender, mut found) = mpsc::channel(4);
        let mut discovery = Discovery::new(sender, 1, registrar());
        discovery.update([Discover::name("localhost", 80)].into_iter());
        let got = found.recv().await.expect("a result").backends;
        let got = got.expect("it has addresses");
        let is_loopback = |backend: &Backend| match &backend.addr {
            BackendAddr::Socket(socket) => socket.ip().is_loopback() && socket.port() == 80,
            _ => false,
        };
        assert!(!got.is_empty() && got.iter().all(is_loopback), "{got:?}");
        discovery.update([Discover::name("nowhere.invalid", 80)].into_iter());
        let got = found.recv().await.expect("a result");
        assert_eq!(got.source, Discover::name("nowhere.invalid", 80));
        assert_eq!(got.backends, Err("there is no such name".to_owned()));
    }
}
