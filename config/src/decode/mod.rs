//! Decoding: from the tree of values to the types of [`crate::policy`], by the table of keys.
//!
//! A decoder always returns something: where a value is wrong it reports that and goes on with the
//! default. The result counts only when nothing was reported.

mod agents;
mod balance;
mod contact;
mod direct;
mod discover;
mod eject;
mod headers;
mod health;
mod listener;
mod matches;
mod pool;
mod pool_limit;
mod reader;
mod retry;
mod route;
mod route_limit;
mod scalar;
mod script;
mod split;
mod sticky;
mod tls;
mod top;
mod trace;

use std::net::IpAddr;

use crate::policy::{AccessLog, Admin, Agents, Contact, Listener, Pool, Process, Route, Trace};
use crate::source::Place;

pub(crate) use pool::backends_file;
pub(crate) use top::decode;

/// What was decoded, with the places that later checks point at.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) process: Process,
    pub(crate) admin: Admin,
    pub(crate) admin_place: Place,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) trace: Option<Trace>,
    pub(crate) listeners: Vec<Placed<Listener, ListenerPlaces>>,
    pub(crate) routes: Vec<Placed<Route, RoutePlaces>>,
    pub(crate) pools: Vec<Placed<Pool, PoolPlaces>>,
    pub(crate) contacts: Vec<Placed<Contact, ContactPlaces>>,
    pub(crate) agents: Option<Placed<Agents, AgentsPlaces>>,
}

/// An item and where its parts stand.
#[derive(Debug)]
pub(crate) struct Placed<T, P> {
    pub(crate) item: T,
    pub(crate) places: P,
    /// Whether nothing was wrong with the item itself.
    pub(crate) sound: bool,
}

/// Where the parts of a listener stand.
#[derive(Debug)]
pub(crate) struct ListenerPlaces {
    pub(crate) name: Place,
    /// As long as `Listener::bind`.
    pub(crate) binds: Vec<Place>,
    pub(crate) pool: Place,
    pub(crate) redirect: Place,
    pub(crate) tls: Option<TlsPlaces>,
    /// Keys that the listener itself has and that say something about connections alone.
    pub(crate) proxy_keys: Vec<(&'static str, Place)>,
}

/// Where the file names of a listener's TLS stand.
#[derive(Debug, Clone)]
pub(crate) struct TlsPlaces {
    pub(crate) tls: Place,
    /// Certificate and key, as long as `Tls::certs`.
    pub(crate) certs: Vec<(Place, Place)>,
    pub(crate) folder: Place,
    pub(crate) ca: Place,
    /// As long as `TlsClients::crl`.
    pub(crate) crl: Vec<Place>,
}

/// Where the parts of a route stand.
#[derive(Debug)]
pub(crate) struct RoutePlaces {
    /// The whole route: its match, or its head when there is none.
    pub(crate) route: Place,
    /// The name, if one is given.
    pub(crate) name: Option<Place>,
    pub(crate) action: Place,
    /// As long as `Split::pools`, if the action is a split.
    pub(crate) shares: Vec<Place>,
    /// As long as `Match::listeners`.
    pub(crate) listeners: Vec<Place>,
}

/// Where the parts of a pool stand.
#[derive(Debug)]
pub(crate) struct PoolPlaces {
    pub(crate) name: Place,
    pub(crate) backends_key: Place,
    /// As long as `Pool::backends`.
    pub(crate) backends: Vec<Place>,
    /// As long as `Pool::discover`.
    pub(crate) discover: Vec<Place>,
    /// Whether anything is said about checks.
    pub(crate) has_health: bool,
    pub(crate) tls: PoolTlsPlaces,
}

/// Where the parts of a pool's TLS stand.
#[derive(Debug)]
pub(crate) struct PoolTlsPlaces {
    pub(crate) ca: Place,
    pub(crate) verify: Place,
    /// Certificate and key.
    pub(crate) own: (Place, Place),
}

/// Where the parts of `[agents]` stand.
#[derive(Debug)]
pub(crate) struct AgentsPlaces {
    pub(crate) table: Place,
    /// As long as `Agents::listen`.
    pub(crate) listens: Vec<Place>,
}

/// Where the parts of a contact stand: the contact itself for those that are not written.
#[derive(Debug)]
pub(crate) struct ContactPlaces {
    /// The addresses that are written, without those that were added.
    pub(crate) addresses: Vec<(IpAddr, Place)>,
    pub(crate) group: Place,
    pub(crate) preempt: Place,
    pub(crate) source: Place,
    /// As long as `Contact::peers`.
    pub(crate) peers: Vec<Place>,
    pub(crate) peers_key: Place,
    pub(crate) secret: Place,
    pub(crate) port: Place,
    pub(crate) heartbeat: Place,
    pub(crate) misses: Place,
}
