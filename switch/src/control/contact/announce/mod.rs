//! Tells the neighbours where a contact address is now: gratuitous ARP (RFC 5227) and unsolicited
//! neighbour advertisements (RFC 4861, 7.2.6).

mod arp;
pub mod burst;
pub mod conflict;
mod ndp;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

pub use burst::Burst;
pub use conflict::{Claim, Conflicts};

use crate::sys::packet::PacketSocket;

/// An Ethernet address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];

/// Sends announcements on one interface. Its socket stays open: to close one takes about 10 ms.
#[derive(Debug)]
pub struct Announcer {
    socket: PacketSocket,
    mac: Mac,
    router: bool,
}

impl Announcer {
    /// For the interface of this index, whose own address is `mac`.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, which the text explains, or there is no such interface.
    pub fn open(index: u32, mac: Mac) -> io::Result<Self> {
        Ok(Self {
            socket: PacketSocket::sender(index)?,
            mac,
            router: false,
        })
    }

    /// Whether advertisements of IPv6 call this host a router, as they must where it forwards
    /// IPv6: neighbours drop a default router that stops to say so (RFC 4861, 7.2.5).
    pub fn set_router(&mut self, router: bool) {
        self.router = router;
    }

    /// Tells every neighbour that `ip` is here: by a gratuitous request and a gratuitous reply of
    /// ARP, since some heed only one of them (RFC 5227, 3), or by one advertisement to all nodes.
    /// Never waits.
    ///
    /// # Errors
    /// The interface is down or gone; its queue is full. Of two frames, the other one is sent
    /// nevertheless.
    pub fn announce(&self, ip: IpAddr) -> io::Result<()> {
        let to = match ip {
            IpAddr::V4(_) => BROADCAST,
            IpAddr::V6(_) => ndp::ALL_NODES_MAC,
        };
        self.announce_to(ip, to)
    }

    /// The same in frames to one neighbour: to put it right when it is wrong.
    ///
    /// # Errors
    /// As of [`Announcer::announce`].
    pub fn announce_to(&self, ip: IpAddr, neighbour: Mac) -> io::Result<()> {
        match ip {
            IpAddr::V4(ip) => {
                let request = arp::gratuitous_request(ip, self.mac, neighbour);
                let reply = arp::gratuitous_reply(ip, self.mac, neighbour);
                let first = self.socket.send_frame(&request);
                self.socket.send_frame(&reply).and(first)
            }
            IpAddr::V6(ip) => {
                let frame = ndp::advertisement(ip, self.mac, neighbour, self.router);
                self.socket.send_frame(&frame)
            }
        }
    }
}

impl AsFd for Announcer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
