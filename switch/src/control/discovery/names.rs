//! Names looked up by DNS, with the time for which the answer holds.
//!
//! hickory-resolver asks; it caches nothing, as what is found is kept by those who asked. The hosts
//! file of the system and its name servers are looked at again when their files change.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, Resolver, TokioResolver};

use super::pace::Pace;
use super::pause;
use crate::control::random::SplitMix;

/// For one lookup with all its tries.
const TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is believed no shorter.
const FLOOR: Duration = Duration::from_secs(1);
/// An answer is believed no longer.
const CAP: Duration = Duration::from_secs(300);
/// What the hosts file says is looked at that often.
const HOSTS_TTL: Duration = Duration::from_secs(10);
/// The share by which pauses vary.
const JITTER: f64 = 0.1;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// Records, and how long they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for; at least one.
    pub records: Vec<T>,
    /// The least TTL among them.
    pub ttl: Duration,
}

/// Why there are no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There are none: the name server is sure.
    Nothing(String),
    /// Nobody knows.
    Unknown(String),
}

impl Failure {
    /// In words.
    pub fn text(self) -> String {
        match self {
            Self::Nothing(text) | Self::Unknown(text) => text,
        }
    }
}

/// Whoever looks names up: one for each list of name servers.
#[derive(Debug, Default)]
pub struct Resolvers {
    all: HashMap<Vec<SocketAddr>, Weak<Names>>,
    pace: Arc<Pace>,
}

impl Resolvers {
    /// The one that asks these; none: those of the system.
    pub fn of(&mut self, servers: &[SocketAddr]) -> Arc<Names> {
        if let Some(names) = self.all.get(servers).and_then(Weak::upgrade) {
            return names;
        }
        let names = Arc::new(Names::new(servers.to_vec(), self.pace.clone()));
        self.all.insert(servers.to_vec(), Arc::downgrade(&names));
        names
    }

    /// Forgets those that nobody has any more.
    pub fn forget_unused(&mut self) {
        self.all.retain(|_, names| names.strong_count() > 0);
    }
}

/// Looks names up.
#[derive(Debug)]
pub struct Names {
    servers: Vec<SocketAddr>,
    pace: Arc<Pace>,
    system: Mutex<System>,
}

/// What was made of the system's files, and of which.
#[derive(Default)]
struct System {
    resolver: Option<TokioResolver>,
    hosts: Arc<Hosts>,
    stamps: Option<[Stamp; 2]>,
}

/// What tells a file from the one that replaced it.
type Stamp = Option<(SystemTime, u64)>;

impl Names {
    fn new(servers: Vec<SocketAddr>, pace: Arc<Pace>) -> Self {
        Self {
            servers,
            pace,
            system: Mutex::default(),
        }
    }

    /// The addresses of a name, of both families.
    ///
    /// # Errors
    /// Of each family by itself.
    pub async fn addresses(&self, host: &str) -> [Result<Answer<IpAddr>, Failure>; 2] {
        self.pace.turn().await;
        let (resolver, hosts) = match self.current() {
            Ok(current) => current,
            Err(why) => return [Err(why.clone()), Err(why)],
        };
        if let Some(found) = in_hosts(&hosts, host) {
            return found;
        }
        let ask = |kind| ask(&resolver, host, kind, address);
        let (v4, v6) = tokio::join!(ask(RecordType::A), ask(RecordType::AAAA));
        [v4, v6]
    }

    /// The SRV records of a service.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn services(&self, service: &str) -> Result<Answer<SRV>, Failure> {
        self.pace.turn().await;
        let (resolver, _) = self.current()?;
        let srv = |data: &RData| match data {
            RData::SRV(srv) => Some(srv.clone()),
            _ => None,
        };
        ask(&resolver, service, RecordType::SRV, srv).await
    }

    /// The resolver as the files are now.
    fn current(&self) -> Result<(TokioResolver, Arc<Hosts>), Failure> {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        let of_system = self.servers.is_empty();
        let stamps = match of_system {
            true => [stamp(RESOLV_CONF), stamp(HOSTS)],
            false => [None, None],
        };
        if let Some(resolver) = &system.resolver
            && system.stamps == Some(stamps)
        {
            return Ok((resolver.clone(), system.hosts.clone()));
        }
        let resolver = resolver(&self.servers).map_err(Failure::Unknown)?;
        let hosts = match of_system {
            true => Hosts::from_system().unwrap_or_default(),
            false => Hosts::default(),
        };
        *system = System {
            resolver: Some(resolver.clone()),
            hosts: Arc::new(hosts),
            stamps: Some(stamps),
        };
        Ok((resolver, system.hosts.clone()))
    }
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System").finish_non_exhaustive()
    }
}

fn stamp(file: &str) -> Stamp {
    let meta = fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let (config, mut options) = match servers {
        [] => read_system_conf().unwrap_or_else(|error| {
            // As resolv.conf(5) has it where the file names none.
            tracing::debug!("{RESOLV_CONF}: {error}");
            let here = SocketAddr::from(([127, 0, 0, 1], 53));
            (config(&[here]), ResolverOpts::default())
        }),
        servers => (config(servers), ResolverOpts::default()),
    };
    options.timeout = options.timeout.min(Duration::from_secs(2));
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    // An alias may hold for a shorter time than the addresses that it leads to.
    options.preserve_intermediates = true;
    let provider = TokioRuntimeProvider::default();
    let mut builder = Resolver::builder_with_config(config, provider);
    *builder.options_mut() = options;
    builder.build().map_err(|error| error.to_string())
}

fn config(servers: &[SocketAddr]) -> ResolverConfig {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        server
    };
    ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect())
}

/// What the hosts file says of a name that stands in it.
fn in_hosts(hosts: &Hosts, host: &str) -> Option<[Result<Answer<IpAddr>, Failure>; 2]> {
    let mut name = Name::from_ascii(host).ok()?;
    name.set_fqdn(true);
    let of = |kind| {
        let lookup = hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let records = lookup.iter().flat_map(|lookup| lookup.answers());
        let records: Vec<_> = records.filter_map(|record| address(&record.data)).collect();
        match records.is_empty() {
            true => Err(Failure::Nothing(format!("it has no address in {HOSTS}"))),
            false => Ok(Answer {
                records,
                ttl: HOSTS_TTL,
            }),
        }
    };
    let both = [of(RecordType::A), of(RecordType::AAAA)];
    both.iter().any(Result::is_ok).then_some(both)
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}

async fn ask<T>(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
    read: impl Fn(&RData) -> Option<T>,
) -> Result<Answer<T>, Failure> {
    // What it keeps all the same must not be found again.
    resolver.clear_lookup_cache(name, kind);
    let lookup = match tokio::time::timeout(TIMEOUT, resolver.lookup(name, kind)).await {
        Ok(Ok(lookup)) => lookup,
        Ok(Err(error)) => return Err(failure(&error)),
        Err(_) => return Err(failure(&NetError::Timeout)),
    };
    let records: Vec<T> = records(&lookup).filter_map(read).collect();
    let ttls = lookup.answers().iter().map(|record| record.ttl);
    let ttl = Duration::from_secs(ttls.min().unwrap_or_default().into());
    match records.is_empty() {
        true => Err(Failure::Nothing(format!("it has no {kind} record"))),
        false => Ok(Answer { records, ttl }),
    }
}

fn records(lookup: &Lookup) -> impl Iterator<Item = &RData> {
    lookup.answers().iter().map(|record| &record.data)
}

fn failure(error: &NetError) -> Failure {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            Failure::Nothing(match none.response_code {
                ResponseCode::NXDomain => "there is no such name".to_owned(),
                ResponseCode::NoError => format!("it has no {} record", none.query.query_type()),
                code => return Failure::Unknown(format!("the name server answers: {code}")),
            })
        }
        NetError::Dns(DnsError::ResponseCode(code)) => {
            Failure::Unknown(format!("the name server answers: {code}"))
        }
        NetError::Timeout => Failure::Unknown("no name server answers in time".to_owned()),
        NetError::NoConnections => Failure::Unknown("no name server can be reached".to_owned()),
        other => Failure::Unknown(other.to_string()),
    }
}

/// When a name is looked up again.
#[derive(Debug)]
pub struct Refresh {
    fixed: Option<Duration>,
    failures: u32,
    due: Option<tokio::time::Instant>,
    random: SplitMix,
}

impl Refresh {
    /// At this interval; `None`: as long as the records hold.
    pub fn new(fixed: Option<Duration>, random: SplitMix) -> Self {
        Self {
            fixed,
            failures: 0,
            due: None,
            random,
        }
    }

    /// Waits until the next lookup; not before the first.
    pub async fn wait(&mut self) {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
    }

    /// A lookup ended: with records that hold so long, or in vain.
    pub fn ended(&mut self, ttl: Option<Duration>) {
        let pause = self.pause(ttl);
        self.due = Some(tokio::time::Instant::now() + pause);
    }

    fn pause(&mut self, ttl: Option<Duration>) -> Duration {
        self.failures = match ttl {
            Some(_) => 0,
            None => self.failures.saturating_add(1),
        };
        let pause = match ttl {
            Some(ttl) => self.fixed.unwrap_or(ttl.min(CAP)),
            None => pause(self.failures),
        };
        self.random.jittered(pause, JITTER).max(FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refresh(fixed: Option<Duration>) -> Refresh {
        Refresh::new(fixed, SplitMix::new(7))
    }

    #[test]
    fn a_name_is_looked_up_when_its_records_end_but_not_all_the_time() {
        let mut refresh = refresh(None);
        let mut pause = |ttl| refresh.pause(Some(Duration::from_secs(ttl))).as_secs_f64();
        for _ in 0..100 {
            assert_eq!(pause(0), 1.0);
            assert!((1.0..=1.05).contains(&pause(1)));
            assert!((57.0..=63.0).contains(&pause(60)));
            assert!((285.0..=315.0).contains(&pause(86_400)));
        }
    }

    #[test]
    fn an_interval_holds_whatever_the_records_say() {
        let mut refresh = refresh(Some(Duration::from_secs(20)));
        for ttl in [0, 86_400] {
            let pause = refresh.pause(Some(Duration::from_secs(ttl)));
            assert!((19.0..=21.0).contains(&pause.as_secs_f64()), "{pause:?}");
        }
    }

    #[test]
    fn pauses_after_failures_grow_until_one_lookup_succeeds() {
        let mut refresh = refresh(None);
        let mut pauses = (0..5).map(|_| refresh.pause(None));
        assert!(pauses.by_ref().is_sorted());
        assert!(pauses.next().is_none());
        assert!(refresh.pause(None) > Duration::from_secs(20));
        refresh.pause(Some(Duration::ZERO));
        assert!(refresh.pause(None) < Duration::from_millis(1100));
    }

    #[test]
    fn the_hosts_file_answers_for_the_names_that_stand_in_it() {
        let mut hosts = Hosts::default();
        let text = "10.0.0.1 app app.internal\n10.0.0.2 app\nfd00::1 app\n";
        hosts.read_hosts_conf(text.as_bytes()).expect("it is read");
        let [v4, v6] = in_hosts(&hosts, "APP").expect("it stands there");
        assert_eq!(v4.expect("two").records.len(), 2);
        assert_eq!(v6.expect("one").records.len(), 1);
        let [v4, v6] = in_hosts(&hosts, "app.internal").expect("it stands there");
        assert!(v4.is_ok() && matches!(v6, Err(Failure::Nothing(_))));
        assert!(in_hosts(&hosts, "other").is_none());
    }
}
