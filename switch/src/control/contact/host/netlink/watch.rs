//! What changes about interfaces and addresses, as soon as it does.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::IpNet;
use rustix::io::Errno;

use super::read;
use super::socket::{Message, Socket, messages};

/// Link, IPv4 address, IPv6 address (`linux/rtnetlink.h`).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// Readings of one call that tell nothing: then the caller gets its turn.
const TURNS: usize = 64;

/// A change on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An interface is new, has changed in some way, or is gone (then it is neither up nor
    /// running).
    Link {
        /// The kernel's number for it.
        index: u32,
        /// Its name.
        name: String,
        /// It is switched on.
        up: bool,
        /// It can send.
        running: bool,
    },
    /// An interface has an address, be it new or changed.
    AddressAdded {
        /// The interface.
        index: u32,
        /// The address, with the length of its prefix.
        address: IpNet,
    },
    /// An interface has an address no more.
    AddressGone {
        /// The interface.
        index: u32,
        /// The address, with the length of its prefix.
        address: IpNet,
    },
    /// There was more than the socket holds: everything is to be read anew.
    Overflow,
}

/// Hears of changes; never waits. Readable when there is something.
#[derive(Debug)]
pub struct LinkWatch {
    socket: Socket,
    waiting: VecDeque<Change>,
}

impl LinkWatch {
    /// Of the network namespace that the calling thread is in. Everything that changes from now on
    /// will be told.
    ///
    /// # Errors
    /// There is no room for a socket, or a sandbox forbids netlink.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(GROUPS)?,
            waiting: VecDeque::new(),
        })
    }

    /// The next change; `None`: nothing is known for now.
    ///
    /// # Errors
    /// The socket is broken.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator's end would be for good"
    )]
    pub fn next(&mut self) -> io::Result<Option<Change>> {
        for _ in 0..TURNS {
            if let Some(change) = self.waiting.pop_front() {
                return Ok(Some(change));
            }
            let mut buffer = Socket::buffer();
            match self.socket.receive(&mut buffer) {
                Ok(received) => self.waiting.extend(messages(received).filter_map(change)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::NOBUFS | Errno::MSGSIZE) => return Ok(Some(Change::Overflow)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.waiting.pop_front())
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn change(message: Message<'_>) -> Option<Change> {
    let is_gone = message.kind == libc::RTM_DELLINK;
    match message.kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => {
            let link = read::link(message.content)?.link;
            Some(Change::Link {
                index: link.index,
                name: link.name,
                up: link.up && !is_gone,
                running: link.running && !is_gone,
            })
        }
        libc::RTM_NEWADDR => {
            let (index, address) = read::address(message.content)?;
            Some(Change::AddressAdded { index, address })
        }
        libc::RTM_DELADDR => {
            let (index, address) = read::address(message.content)?;
            Some(Change::AddressGone { index, address })
        }
        _ => None,
    }
}
