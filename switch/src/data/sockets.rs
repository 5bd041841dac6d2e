//! The plane's listening sockets: opened, or inherited from another process, and dealt out to the
//! workers. A copy of each stays here, so that it can be handed to a next process.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use pointsman_config::policy::BindAddr;
use socket2::Socket;

use super::listener::{self, BindError, Inherited, Origin};
use super::worker::Command;
use crate::snapshot::ListenerSettings;
use crate::sys::SocketFile;

/// A listener by its id, and one of its addresses.
type Place = (u32, BindAddr);

/// Sockets that are listened on, and those that wait for a listener.
#[derive(Debug)]
pub struct Sockets {
    workers: usize,
    open: HashMap<Place, Opened>,
    last_key: u64,
    /// Listeners that the kernel serves without a socket.
    direct: usize,
    inherited: Vec<Inherited>,
}

#[derive(Debug)]
struct Opened {
    key: u64,
    name: String,
    actual: BindAddr,
    file: Option<SocketFile>,
    copies: Vec<Socket>,
}

/// Sockets that stand but do not accept yet.
#[derive(Debug)]
pub struct Prepared {
    /// Everything that is wanted.
    wanted: Vec<Place>,
    /// What of it is new.
    new: Vec<New>,
    /// Listeners that need none.
    direct: usize,
}

#[derive(Debug)]
struct New {
    place: Place,
    name: String,
    sockets: Vec<Socket>,
    inherited: bool,
}

/// What a worker, by its number, is to be told.
pub type Order = (usize, Command);

impl Sockets {
    /// None yet, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            open: HashMap::new(),
            last_key: 0,
            direct: 0,
            inherited: Vec::new(),
        }
    }

    /// Sockets that listeners take over rather than open their own.
    pub fn inherit(&mut self, sockets: Vec<Inherited>) {
        self.inherited.extend(sockets);
    }

    /// Opens what these listeners want and is not open yet. Nothing changes until
    /// [`Sockets::commit`].
    ///
    /// # Errors
    /// The first socket that cannot be opened, with cause and remedy.
    pub fn prepare(&self, listeners: &[Arc<ListenerSettings>]) -> Result<Prepared, BindError> {
        let (mut wanted, mut new) = (Vec::new(), Vec::new());
        let direct = listeners.iter().filter(|settings| settings.direct);
        let direct = direct.count();
        for settings in listeners.iter().filter(|settings| !settings.direct) {
            let (name, contacts) = (&settings.policy.name, &settings.contacts);
            for addr in &settings.policy.bind {
                let place = (settings.id, addr.clone());
                wanted.push(place.clone());
                if self.open.contains_key(&place) {
                    continue;
                }
                let adopted = self
                    .adopted(name, addr, contacts)
                    .map_err(|source| BindError {
                        addr: addr.clone(),
                        source,
                    })?;
                let inherited = !adopted.is_empty();
                let sockets = match inherited {
                    true => adopted,
                    false => listener::bind(addr, self.workers, contacts)?,
                };
                new.push(New {
                    place,
                    name: name.clone(),
                    sockets,
                    inherited,
                });
            }
        }
        Ok(Prepared {
            wanted,
            new,
            direct,
        })
    }

    fn adopted(
        &self,
        listener: &str,
        addr: &BindAddr,
        contacts: &[IpAddr],
    ) -> io::Result<Vec<Socket>> {
        let fitting = self
            .inherited
            .iter()
            .filter(|one| one.fits(listener, addr))
            .map(|one| one.socket.try_clone());
        let fitting = fitting.collect::<io::Result<_>>()?;
        listener::complete(addr, fitting, self.workers, contacts)
    }

    /// Takes the prepared sockets into use and gives up those that are wanted no more. The orders
    /// that come back make the workers do the same.
    pub fn commit(&mut self, prepared: Prepared) -> Vec<Order> {
        let mut orders = Vec::new();
        self.direct = prepared.direct;
        for new in prepared.new {
            self.last_key += 1;
            let key = self.last_key;
            let opened = self.opened(key, &new);
            for (i, socket) in new.sockets.into_iter().enumerate() {
                let listen = Command::Listen {
                    listener: new.place.0,
                    key,
                    socket,
                };
                orders.push((i % self.workers, listen));
            }
            self.open.insert(new.place, opened);
        }
        let gone = self
            .open
            .extract_if(|place, _| !prepared.wanted.contains(place));
        for (_, opened) in gone {
            // A copy that stays open would keep the socket listening.
            let key = opened.key;
            drop(opened);
            orders.extend((0..self.workers).map(|worker| (worker, Command::Close { key })));
        }
        orders
    }

    fn opened(&mut self, key: u64, new: &New) -> Opened {
        let (name, addr) = (&new.name, &new.place.1);
        let file = match (addr, new.inherited) {
            (BindAddr::Unix(path), false) => SocketFile::at(path).ok(),
            (BindAddr::Unix(path), true) => self.inherited_file(name, path),
            _ => None,
        };
        if new.inherited {
            self.inherited.retain(|one| !one.fits(name, addr));
        }
        // All sockets of a Unix address are one.
        let distinct = match addr {
            BindAddr::Unix(_) => 1,
            _ => new.sockets.len(),
        };
        let copies = new.sockets.iter().take(distinct);
        Opened {
            key,
            name: name.clone(),
            actual: new
                .sockets
                .first()
                .map_or(addr.clone(), |socket| actual(addr, socket)),
            file,
            copies: copies
                .filter_map(|socket| socket.try_clone().ok())
                .collect(),
        }
    }

    fn inherited_file(&self, listener: &str, path: &Path) -> Option<SocketFile> {
        let addr = BindAddr::Unix(path.to_owned());
        let mut fitting = self
            .inherited
            .iter()
            .filter(|one| one.fits(listener, &addr));
        fitting.find_map(|one| Some(SocketFile::known(path, one.origin.as_ref()?.file?)))
    }

    /// Whether clients can connect somewhere.
    pub fn is_any(&self) -> bool {
        self.direct > 0 || !self.open.is_empty()
    }

    /// Each open socket: its listener's name and the address, the port filled in.
    pub fn addresses(&self) -> Vec<(String, BindAddr)> {
        let mut all: Vec<_> = self.open.values().collect();
        all.sort_by_key(|opened| opened.key);
        all.into_iter()
            .map(|opened| (opened.name.clone(), opened.actual.clone()))
            .collect()
    }

    /// Where inherited sockets listen that no listener has taken over.
    pub fn unclaimed(&self) -> Vec<String> {
        self.inherited.iter().map(Inherited::place).collect()
    }

    /// Closes inherited sockets that no listener has taken over, and removes their files.
    pub fn close_unclaimed(&mut self) {
        for origin in self.inherited.drain(..).filter_map(|one| one.origin) {
            if let (BindAddr::Unix(path), Some(inode)) = (&origin.bind, origin.file) {
                drop(SocketFile::known(path, inode));
            }
        }
    }

    /// Copies of all open sockets, for another process.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn lend(&self) -> io::Result<Vec<Inherited>> {
        let mut lent = Vec::new();
        for ((_, bind), opened) in &self.open {
            for copy in &opened.copies {
                let origin = Origin {
                    listener: opened.name.clone(),
                    bind: bind.clone(),
                    file: opened.file.as_ref().map(SocketFile::inode),
                };
                let socket = copy.try_clone()?;
                lent.push(Inherited {
                    origin: Some(origin),
                    socket,
                });
            }
        }
        Ok(lent)
    }

    /// Gives up all sockets; with `handed_over` another process listens on them, and their files
    /// stay.
    pub fn release(&mut self, handed_over: bool) {
        self.inherited.clear();
        self.direct = 0;
        for file in self.open.drain().filter_map(|(_, opened)| opened.file) {
            if handed_over {
                file.leave();
            }
        }
    }
}

fn actual(wanted: &BindAddr, socket: &Socket) -> BindAddr {
    let local = socket.local_addr().ok().and_then(|addr| addr.as_socket());
    match (wanted, local) {
        (BindAddr::Any(_), Some(addr)) => BindAddr::Any(addr.port()),
        (BindAddr::Socket(_), Some(addr)) => BindAddr::Socket(addr),
        (wanted, _) => wanted.clone(),
    }
}
