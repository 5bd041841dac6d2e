//! The addresses of a name.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy::{Backend, BackendAddr};

use super::names::{Answer, Failure, Names, Refresh};
use super::{Source, Told};

/// Addresses of one name that are used; the rest is left out.
pub const MAX_ADDRESSES: usize = 256;

/// A name that is looked up again and again.
#[derive(Debug)]
pub struct Dns {
    host: String,
    port: u16,
    names: Arc<Names>,
    refresh: Refresh,
    addresses: Addresses,
}

impl Dns {
    /// The addresses of this name, with this port.
    pub fn new(host: &str, port: u16, names: Arc<Names>, refresh: Refresh) -> Self {
        Self {
            host: host.to_owned(),
            port,
            names,
            refresh,
            addresses: Addresses::default(),
        }
    }

    async fn look(&mut self) -> Result<Vec<Backend>, String> {
        self.refresh.wait().await;
        let answers = self.names.addresses(&self.host).await;
        let ttl = self.addresses.learn(answers);
        self.refresh.ended(ttl.as_ref().ok().copied());
        ttl?;
        let backend = |ip: &IpAddr| {
            let addr = SocketAddr::new(*ip, self.port);
            Backend {
                name: addr.to_string(),
                addr: BackendAddr::Socket(addr),
                weight: 1,
                priority: 0,
            }
        };
        Ok(self.addresses.all().iter().map(backend).collect())
    }
}

impl Source for Dns {
    fn next(&mut self) -> Told<'_> {
        Box::pin(self.look())
    }
}

/// The addresses of one name, each family by itself: while one cannot be looked up, what was found
/// last stays.
#[derive(Debug, Clone, Default)]
pub struct Addresses([Vec<IpAddr>; 2]);

impl Addresses {
    /// All of them, in order.
    pub fn all(&self) -> BTreeSet<IpAddr> {
        let all = self.0.iter().flatten().copied();
        all.take(MAX_ADDRESSES).collect()
    }

    /// Takes the answers of both families; for how long they hold.
    ///
    /// # Errors
    /// Why nothing was found; nothing has changed.
    pub fn learn(
        &mut self,
        answers: [Result<Answer<IpAddr>, Failure>; 2],
    ) -> Result<Duration, String> {
        let ttls = answers.iter().flatten().map(|answer| answer.ttl);
        let Some(ttl) = ttls.min() else {
            return Err(why(answers));
        };
        for (known, answer) in self.0.iter_mut().zip(answers) {
            match answer {
                Ok(mut answer) => {
                    answer.records.sort_unstable();
                    *known = answer.records;
                }
                Err(Failure::Nothing(_)) => known.clear(),
                Err(Failure::Unknown(_)) => {}
            }
        }
        Ok(ttl)
    }
}

/// The more telling of two failures.
fn why([v4, v6]: [Result<Answer<IpAddr>, Failure>; 2]) -> String {
    match (v4, v6) {
        (Err(Failure::Unknown(why)), _) | (_, Err(Failure::Unknown(why))) => why,
        (Err(v4), Err(v6)) if v4 == v6 => v4.text(),
        _ => "it has no address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(hosts: &[&str], ttl: u64) -> Result<Answer<IpAddr>, Failure> {
        let hosts = hosts.iter().map(|host| host.parse().expect("an address"));
        Ok(Answer {
            records: hosts.collect(),
            ttl: Duration::from_secs(ttl),
        })
    }

    fn nothing() -> Result<Answer<IpAddr>, Failure> {
        Err(Failure::Nothing("there is no such name".into()))
    }

    fn unknown() -> Result<Answer<IpAddr>, Failure> {
        Err(Failure::Unknown("no name server answers in time".into()))
    }

    fn texts(addresses: &Addresses) -> Vec<String> {
        addresses.all().iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn both_families_are_found_and_the_shorter_time_holds() {
        let mut addresses = Addresses::default();
        let answers = [
            found(&["10.0.0.2", "10.0.0.1"], 60),
            found(&["fd00::1"], 30),
        ];
        assert_eq!(addresses.learn(answers), Ok(Duration::from_secs(30)));
        assert_eq!(texts(&addresses), ["10.0.0.1", "10.0.0.2", "fd00::1"]);
        let answers = [found(&["10.0.0.3"], 5), nothing()];
        assert_eq!(addresses.learn(answers), Ok(Duration::from_secs(5)));
        assert_eq!(texts(&addresses), ["10.0.0.3"]);
    }

    #[test]
    fn a_family_that_cannot_be_looked_up_stays_as_it_was() {
        let mut addresses = Addresses::default();
        let answers = [found(&["10.0.0.1"], 60), found(&["fd00::1"], 60)];
        assert!(addresses.learn(answers).is_ok());
        assert!(
            addresses
                .learn([found(&["10.0.0.2"], 60), unknown()])
                .is_ok()
        );
        assert_eq!(texts(&addresses), ["10.0.0.2", "fd00::1"]);
    }

    #[test]
    fn a_lookup_in_vain_changes_nothing_and_says_why() {
        let mut addresses = Addresses::default();
        assert!(
            addresses
                .learn([found(&["10.0.0.1"], 60), nothing()])
                .is_ok()
        );
        let late = "no name server answers in time".to_owned();
        assert_eq!(addresses.learn([unknown(), unknown()]), Err(late.clone()));
        assert_eq!(addresses.learn([nothing(), unknown()]), Err(late));
        let gone = "there is no such name".to_owned();
        assert_eq!(addresses.learn([nothing(), nothing()]), Err(gone));
        assert_eq!(texts(&addresses), ["10.0.0.1"]);
    }
}
