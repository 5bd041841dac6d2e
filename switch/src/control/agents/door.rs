//! Where agents come in.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pointsman_config::policy::BindAddr;
use socket2::Socket;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Registrar, session};
use crate::control::listen;
use crate::control::status::bind_word;

/// Sessions at the same time.
const MAX_SESSIONS: usize = 4096;
/// Of these, who has not registered yet; and of those, from one address.
const MAX_PENDING: usize = 64;
const MAX_PENDING_OF_ONE: usize = 8;
const BACKLOG: i32 = 128;
/// With no descriptors left the next attempt must not come at once.
const PAUSE: Duration = Duration::from_millis(100);

/// An address that is bound.
#[derive(Debug)]
pub(super) struct Door {
    bind: BindAddr,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nobody can connect.
    Bound(Socket),
    /// A task lets agents in.
    Open(JoinHandle<()>),
    /// It could not be opened.
    Stuck,
}

impl Door {
    /// Binds an address; another process of the same user may have it as well.
    ///
    /// # Errors
    /// Why not, and what to do about it.
    pub(super) fn bind(bind: &BindAddr) -> Result<Self, String> {
        let address = match bind {
            BindAddr::Any(port) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port)),
            BindAddr::Socket(address) => *address,
            BindAddr::Unix(_) => {
                return Err("agents.listen: a Unix socket cannot be had".to_owned());
            }
        };
        let bound = listen::bind(address, matches!(bind, BindAddr::Any(_)));
        let socket = bound.map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrNotAvailable => {
                    " (no interface has it: write an address of this host)"
                }
                io::ErrorKind::AddrInUse => " (another program has it)",
                io::ErrorKind::PermissionDenied => " (ports below 1024 take CAP_NET_BIND_SERVICE)",
                _ => "",
            };
            format!("agents.listen {}: {error}{remedy}", bind_word(bind))
        })?;
        Ok(Self {
            bind: bind.clone(),
            state: State::Bound(socket),
        })
    }

    fn open(&mut self, registrar: &Registrar) {
        let State::Bound(socket) = std::mem::replace(&mut self.state, State::Stuck) else {
            return;
        };
        let listener = socket
            .listen(BACKLOG)
            .and_then(|()| tokio::net::TcpListener::from_std(socket.into()));
        match listener {
            Ok(listener) => {
                let task = tokio::spawn(let_in(listener, registrar.clone()));
                self.state = State::Open(task);
            }
            Err(error) => {
                tracing::error!("agents.listen {}: {error}", bind_word(&self.bind));
            }
        }
    }
}

/// It closes at once; connections go on.
impl Drop for Door {
    fn drop(&mut self) {
        if let State::Open(task) = &self.state {
            task.abort();
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Doors(Vec<Door>);

impl Doors {
    pub(super) fn has(&self, bind: &BindAddr) -> bool {
        let mut doors = self.0.iter();
        doors.any(|door| door.bind == *bind && !matches!(door.state, State::Stuck))
    }

    pub(super) fn keep(&mut self, wanted: &[BindAddr]) {
        self.0.retain(|door| wanted.contains(&door.bind));
    }

    pub(super) fn add(&mut self, new: Vec<Door>) {
        self.0.extend(new);
    }

    /// Opens those that are not open yet.
    pub(super) fn open(&mut self, registrar: &Registrar) {
        for door in &mut self.0 {
            if matches!(door.state, State::Bound(_)) {
                door.open(registrar);
            }
        }
    }
}

async fn let_in(listener: tokio::net::TcpListener, registrar: Registrar) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => receive(stream, peer.ip().to_canonical(), &registrar),
            Err(error) => {
                tracing::debug!("an agent could not connect: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn receive(stream: TcpStream, from: IpAddr, registrar: &Registrar) {
    let terms = registrar.0.terms.borrow().clone();
    let Some(terms) = terms.filter(|terms| terms.lets_in(from)) else {
        listen::show_out(&stream);
        return registrar.refused("stranger", from, "`from` of [agents] does not have it");
    };
    match registrar.0.guests.enter(from) {
        Some(guest) => {
            tokio::spawn(session::run(registrar.clone(), terms, stream, guest));
        }
        None => {
            listen::show_out(&stream);
            registrar.refused("full", from, "too many agents are connecting");
        }
    }
}

/// Who is in, by number alone.
#[derive(Debug, Default)]
pub(super) struct Guests(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    all: usize,
    pending: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Guests {
    fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Guest> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = count.by_address.get(&from).copied().unwrap_or_default();
        let full = count.all >= MAX_SESSIONS || count.pending >= MAX_PENDING;
        if full || own >= MAX_PENDING_OF_ONE {
            return None;
        }
        count.all += 1;
        count.pending += 1;
        *count.by_address.entry(from).or_default() += 1;
        Some(Guest {
            guests: self.clone(),
            from,
            pending: true,
        })
    }

    fn leave(&self, guest: &mut Guest, all: bool) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count.all -= usize::from(all);
        if std::mem::take(&mut guest.pending) {
            count.pending -= 1;
            if let Some(own) = count.by_address.get_mut(&guest.from) {
                *own -= 1;
                if *own == 0 {
                    count.by_address.remove(&guest.from);
                }
            }
        }
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    pub(super) from: IpAddr,
    pending: bool,
}

impl Guest {
    /// It has registered.
    pub(super) fn is_known(&mut self) {
        self.guests.clone().leave(self, false);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.clone().leave(self, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_have_few_places_and_give_them_back() {
        let guests = Arc::new(Guests::default());
        let from = |host: u8| IpAddr::from([10, 0, 0, host]);
        let mut own: Vec<Guest> = (0..20).filter_map(|_| guests.enter(from(1))).collect();
        assert_eq!(own.len(), MAX_PENDING_OF_ONE);
        own[0].is_known();
        own.extend(guests.enter(from(1)));
        assert_eq!(own.len(), MAX_PENDING_OF_ONE + 1);
        let others: Vec<Guest> = (2..200)
            .filter_map(|host| guests.enter(from(host)))
            .collect();
        assert_eq!(others.len(), MAX_PENDING - MAX_PENDING_OF_ONE);
        drop((own, others));
        let count = guests.0.lock().unwrap();
        assert_eq!(
            (count.all, count.pending, count.by_address.len()),
            (0, 0, 0)
        );
    }
}
