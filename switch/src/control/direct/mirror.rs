//! Connections of servers that are being drained, as the switches of a contact group tell each other:
//! all else a standby finds by itself. The keeper's thread says and takes up, the contact thread
//! carries; neither waits for the other.
//!
//! The holder of a service's address tells them all in *rounds*, each in as many parts as it takes. A
//! connection that a round does not name any more is over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pointsman_backend::protocol::message::{Service, Transport};
use serde::{Deserialize, Serialize};

use super::face::{Key, Protocol};

/// Connections that one switch tells, and that it takes up from all others.
pub const MAX_MIRRORED: usize = 65_536;
/// Connections of one part at most.
pub const MAX_FLOWS: usize = 800;
/// Servers of one part at most.
pub const MAX_OWNERS: usize = 200;
/// Parts that may wait to be taken up: more than one round has, unless it speaks of many services.
const WAITING: usize = 256;

/// A part of a round about one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPart {
    /// Which.
    pub service: Service,
    /// The same in all parts of a round, and another one in the next.
    pub round: u64,
    /// Counts the parts, from 0.
    pub part: u32,
    /// Whether it is the last one.
    pub last: bool,
    /// Servers, by the numbers of their identities ([`super::plan::Identity::number`]).
    pub owners: Vec<u64>,
    /// Connections: the client's end, whose it is (a place in `owners`), and for how many seconds it
    /// has been silent.
    pub flows: Vec<(SocketAddr, u16, u32)>,
}

/// A connection as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToldFlow {
    /// The client's end.
    pub client: SocketAddr,
    /// Whose it is, by the number of its identity.
    pub owner: u64,
    /// Seconds of silence.
    pub idle: u32,
}

impl FlowPart {
    /// All connections of a service, in as many parts as it takes; one without any says that there
    /// are none.
    pub fn all_of(key: Key, round: u64, flows: &[ToldFlow]) -> Vec<Self> {
        let empty = |part| Self {
            service: service(key),
            round,
            part,
            last: false,
            owners: Vec::new(),
            flows: Vec::new(),
        };
        let (mut parts, mut open) = (Vec::new(), empty(0));
        let mut places: BTreeMap<u64, u16> = BTreeMap::new();
        for flow in flows {
            let is_new = !places.contains_key(&flow.owner);
            if open.flows.len() == MAX_FLOWS || (is_new && places.len() == MAX_OWNERS) {
                let next = empty(open.part + 1);
                parts.push(std::mem::replace(&mut open, next));
                places.clear();
            }
            let next = u16::try_from(places.len()).unwrap_or(u16::MAX);
            let place = *places.entry(flow.owner).or_insert_with(|| {
                open.owners.push(flow.owner);
                next
            });
            open.flows.push((flow.client, place, flow.idle));
        }
        open.last = true;
        parts.push(open);
        parts
    }

    /// What reading does not look at.
    ///
    /// # Errors
    /// Which bound it does not keep.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.flows.len() > MAX_FLOWS {
            return Err("there are too many connections");
        }
        if self.owners.len() > MAX_OWNERS {
            return Err("there are too many backends");
        }
        let known =
            |(_, place, _): &(SocketAddr, u16, u32)| usize::from(*place) < self.owners.len();
        match self.flows.iter().all(known) {
            true => Ok(()),
            false => Err("a connection is of no backend"),
        }
    }

    /// The kernel's word for its service; `None`: there can be none.
    pub fn key(&self) -> Option<Key> {
        let protocol = match self.service.protocol {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
            Transport::Unknown => return None,
        };
        Some(Key {
            address: self.service.address.to_canonical(),
            port: self.service.port,
            protocol,
        })
    }

    /// What it tells.
    pub fn told(&self) -> impl Iterator<Item = ToldFlow> {
        self.flows.iter().filter_map(|(client, place, idle)| {
            Some(ToldFlow {
                client: SocketAddr::new(client.ip().to_canonical(), client.port()),
                owner: *self.owners.get(usize::from(*place))?,
                idle: *idle,
            })
        })
    }
}

fn service(key: Key) -> Service {
    Service {
        address: key.address,
        port: key.port,
        protocol: match key.protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
        },
    }
}

/// One round about all services, for whoever carries it.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    /// Another one whenever there is another round; 0: there was none.
    pub version: u64,
    /// In order.
    pub parts: Arc<[FlowPart]>,
}

/// Where the two threads meet.
#[derive(Debug, Default)]
pub struct Mirror(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The addresses that this switch holds; `None`: there is no other switch.
    held: Option<BTreeSet<IpAddr>>,
    telling: Telling,
    heard: VecDeque<(IpAddr, FlowPart)>,
    overflown: u64,
    wake: Option<Arc<OwnedFd>>,
}

impl Mirror {
    /// What is heard from now on wakes its reader by an eventfd(2).
    pub(super) fn attach(&self, wake: Arc<OwnedFd>) {
        self.lock().wake = Some(wake);
    }

    /// The addresses that this switch holds, so that it tells of their services; `None`: there is no
    /// switch to tell.
    pub fn hold(&self, held: Option<BTreeSet<IpAddr>>) {
        self.lock().held = held;
    }

    /// The same.
    pub(super) fn held(&self) -> Option<BTreeSet<IpAddr>> {
        self.lock().held.clone()
    }

    /// Another round is to be told.
    pub(super) fn tell(&self, parts: Vec<FlowPart>) {
        let mut inner = self.lock();
        inner.telling = Telling {
            version: inner.telling.version + 1,
            parts: parts.into(),
        };
    }

    /// The last round.
    pub fn telling(&self) -> Telling {
        self.lock().telling.clone()
    }

    /// Another switch tells this. It is lost if too much waits already: another round follows.
    pub fn hear(&self, from: IpAddr, part: FlowPart) {
        let mut inner = self.lock();
        if inner.heard.len() == WAITING {
            inner.overflown += part.flows.len() as u64;
            return;
        }
        inner.heard.push_back((from, part));
        if let Some(wake) = &inner.wake {
            let _ = rustix::io::write(&**wake, &1_u64.to_ne_bytes());
        }
    }

    /// What others have told since the last time, and how many connections were lost of it.
    pub(super) fn heard(&self) -> (VecDeque<(IpAddr, FlowPart)>, u64) {
        let mut inner = self.lock();
        let lost = std::mem::take(&mut inner.overflown);
        (std::mem::take(&mut inner.heard), lost)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            address: IpAddr::from([192, 0, 2, 10]),
            port: 80,
            protocol: Protocol::Udp,
        }
    }

    fn flow(number: u32, owner: u64) -> ToldFlow {
        let [_, a, b, c] = number.to_be_bytes();
        ToldFlow {
            client: SocketAddr::from(([10, a, b, c], 1024)),
            owner,
            idle: number,
        }
    }

    #[test]
    fn parts_keep_their_bounds_and_are_all_of_it() {
        let many: Vec<ToldFlow> = (0..5000).map(|n| flow(n, u64::from(n % 7))).collect();
        let owners: Vec<ToldFlow> = (0..1000).map(|n| flow(n, u64::from(n))).collect();
        for flows in [vec![], many, owners] {
            let parts = FlowPart::all_of(key(), 3, &flows);
            assert!(parts.iter().all(|part| part.check().is_ok()));
            assert!(parts.iter().all(|part| part.key() == Some(key())));
            let numbers: Vec<u32> = parts.iter().map(|part| part.part).collect();
            assert_eq!(numbers, (0..parts.len() as u32).collect::<Vec<_>>());
            let last = parts.iter().filter(|part| part.last).count();
            assert!(last == 1 && parts.last().unwrap().last);
            let told: Vec<ToldFlow> = parts.iter().flat_map(FlowPart::told).collect();
            assert_eq!(told, flows);
        }
    }

    #[test]
    fn what_is_not_taken_up_is_bounded() {
        let mirror = Mirror::default();
        let part = FlowPart::all_of(key(), 1, &[flow(1, 1)]).remove(0);
        for _ in 0..1000 {
            mirror.hear(IpAddr::from([10, 0, 0, 1]), part.clone());
        }
        let (heard, lost) = mirror.heard();
        assert_eq!((heard.len(), lost), (WAITING, 1000 - WAITING as u64));
        assert_eq!(mirror.heard().0.len(), 0);
    }
}
