//! The SRV records of a service (RFC 2782).

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::rr::rdata::SRV;
use pointsman_config::policy::{Backend, BackendAddr};

use super::dns::Addresses;
use super::names::{Failure, Names, Refresh};
use super::{Source, Told};

/// Records of one service that are used; the rest is left out.
const MAX_RECORDS: usize = 256;
/// The largest weight of a backend.
const MAX_WEIGHT: u32 = 1000;

/// A service that is looked up again and again.
#[derive(Debug)]
pub struct Srv {
    service: String,
    names: Arc<Names>,
    refresh: Refresh,
    /// Of every target of the last answer.
    targets: HashMap<String, Addresses>,
}

/// One record, its name without the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    priority: u16,
    weight: u16,
    port: u16,
    target: String,
}

impl Srv {
    /// The backends of this service.
    pub fn new(service: &str, names: Arc<Names>, refresh: Refresh) -> Self {
        Self {
            service: service.to_owned(),
            names,
            refresh,
            targets: HashMap::new(),
        }
    }

    async fn look(&mut self) -> Result<Vec<Backend>, String> {
        self.refresh.wait().await;
        let found = self.find().await;
        let ttl = found.as_ref().ok().map(|(_, ttl)| *ttl);
        self.refresh.ended(ttl);
        found.map(|(backends, _)| backends)
    }

    /// The backends, and for how long they hold.
    async fn find(&mut self) -> Result<(Vec<Backend>, Duration), String> {
        let (records, mut ttl) = self.records().await?;
        let mut why = None;
        let mut targets = HashMap::new();
        for record in &records {
            if targets.contains_key(&record.target) {
                continue;
            }
            // A target that cannot be looked up keeps the addresses that it had.
            let mut addresses = self.targets.remove(&record.target).unwrap_or_default();
            match addresses.learn(self.names.addresses(&record.target).await) {
                Ok(holds) => ttl = ttl.min(holds),
                Err(error) => why = Some(format!("{}: {error}", record.target)),
            }
            targets.insert(record.target.clone(), addresses);
        }
        self.targets = targets;
        let backends = backends(&records, &self.targets);
        match why {
            Some(why) if backends.is_empty() => Err(why),
            _ => Ok((backends, ttl)),
        }
    }

    async fn records(&self) -> Result<(Vec<Record>, Duration), String> {
        let answer = self.names.services(&self.service).await;
        let answer = answer.map_err(Failure::text)?;
        let records: Vec<_> = answer.records.iter().filter_map(record).collect();
        if records.is_empty() {
            return Err("the service is not offered".to_owned());
        }
        Ok((bounded(records), answer.ttl))
    }
}

impl Source for Srv {
    fn next(&mut self) -> Told<'_> {
        Box::pin(self.look())
    }
}

/// `None` for the root, which says that the service is not there.
fn record(srv: &SRV) -> Option<Record> {
    let target = srv.target.to_ascii();
    let target = target.trim_end_matches('.').to_ascii_lowercase();
    (!target.is_empty() && srv.port != 0).then_some(Record {
        priority: srv.priority,
        weight: srv.weight,
        port: srv.port,
        target,
    })
}

/// The most important ones. A pool has few groups, so that the last priorities share one.
fn bounded(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| record.priority);
    records.truncate(MAX_RECORDS);
    records
}

/// The group of each priority: what counts is their order.
fn groups(records: &[Record]) -> HashMap<u16, u8> {
    let priorities: BTreeSet<u16> = records.iter().map(|record| record.priority).collect();
    let groups = (0..=Backend::BACKUP).chain(std::iter::repeat(Backend::BACKUP));
    priorities.into_iter().zip(groups).collect()
}

fn backends(records: &[Record], targets: &HashMap<String, Addresses>) -> Vec<Backend> {
    let heaviest = records.iter().map(|record| record.weight).max();
    let heaviest = heaviest.unwrap_or_default();
    let groups = groups(records);
    let mut backends = Vec::new();
    for record in records {
        let addresses = targets.get(&record.target).map(Addresses::all);
        let addresses = addresses.unwrap_or_default();
        let name = format!("{}:{}", record.target, record.port);
        let several = addresses.len() > 1;
        backends.extend(addresses.into_iter().map(|ip| Backend {
            name: match several {
                true => format!("{name} ({ip})"),
                false => name.clone(),
            },
            addr: BackendAddr::Socket(SocketAddr::new(ip, record.port)),
            weight: weight(record.weight, heaviest),
            priority: groups.get(&record.priority).copied().unwrap_or_default(),
        }));
    }
    backends
}

/// The weights of records go up to 65535. One of 0 has a small chance and not none.
fn weight(weight: u16, heaviest: u16) -> u32 {
    let (weight, heaviest) = (u32::from(weight), u32::from(heaviest));
    match heaviest > MAX_WEIGHT {
        true => (weight * MAX_WEIGHT / heaviest).max(1),
        false => weight.max(1),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use hickory_resolver::proto::rr::Name;

    use super::super::names::Answer;
    use super::*;

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Record {
        let target = Name::from_str(target).expect("a name");
        let srv = SRV::new(priority, weight, port, target);
        record(&srv).expect("it is offered")
    }

    fn at(hosts: &[&str]) -> Addresses {
        let mut addresses = Addresses::default();
        let hosts = hosts.iter().map(|host| host.parse().expect("an address"));
        let answer = Answer {
            records: hosts.collect(),
            ttl: Duration::ZERO,
        };
        let none = Err(Failure::Nothing(String::new()));
        addresses.learn([Ok(answer), none]).expect("addresses");
        addresses
    }

    #[test]
    fn each_record_is_a_backend_with_its_port_and_weight() {
        let records = [
            srv(0, 3, 8080, "A.app.internal."),
            srv(0, 0, 8081, "b.app.internal."),
        ];
        let targets = HashMap::from([
            ("a.app.internal".to_owned(), at(&["10.0.0.1"])),
            ("b.app.internal".to_owned(), at(&["10.0.0.2", "10.0.0.3"])),
        ]);
        let got = backends(&records, &targets);
        let got: Vec<_> = got
            .iter()
            .map(|one| (one.name.as_str(), one.weight))
            .collect();
        assert_eq!(
            got,
            [
                ("a.app.internal:8080", 3),
                ("b.app.internal:8081 (10.0.0.2)", 1),
                ("b.app.internal:8081 (10.0.0.3)", 1)
            ]
        );
    }

    #[test]
    fn priorities_become_groups_in_their_order() {
        let records = [30, 10, 500, 10].map(|priority| srv(priority, 1, 80, "a."));
        let groups = groups(&records);
        assert_eq!([10, 30, 500].map(|priority| groups[&priority]), [0, 1, 2]);
        let many: Vec<_> = (0..400).map(|n| srv(n, 1, 80, "a.")).collect();
        let many = bounded(many.into_iter().rev().collect());
        assert_eq!((many.len(), many[0].priority), (MAX_RECORDS, 0));
        let groups = super::groups(&many);
        assert_eq!([0, 9, 255].map(|priority| groups[&priority]), [0, 9, 10]);
    }

    #[test]
    fn weights_keep_their_ratio() {
        assert_eq!([0, 1, 1000].map(|one| weight(one, 1000)), [1, 1, 1000]);
        let got = [0, 1, 13_107, 65_535].map(|one| weight(one, 65_535));
        assert_eq!(got, [1, 1, 200, 1000]);
    }

    #[test]
    fn a_target_of_nothing_says_that_the_service_is_not_there() {
        assert_eq!(record(&SRV::new(0, 0, 0, Name::root())), None);
    }
}
