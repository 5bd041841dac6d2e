//! Hears when somebody else claims a contact address (RFC 5227, 2.4): an active switch announces it
//! again then, before clients follow the other one.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::SockFilter;

use super::{Mac, arp};
use crate::sys::packet::PacketSocket;

/// For what [`Conflicts::next`] reads.
pub const BUFFER: usize = 64;

/// Frames that one call of `next` passes over.
const PASSED_OVER: usize = 64;
/// Addresses that the kernel compares; of more, this process looks at every frame of ARP.
const FILTERED: usize = 1000;

/// Somebody says in a frame of ARP that it has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which one; of IPv4 always.
    pub ip: IpAddr,
    /// Where it says that the address is.
    pub mac: Mac,
}

/// Listens to ARP on one interface.
#[derive(Debug)]
pub struct Conflicts {
    socket: PacketSocket,
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    addresses: Vec<Ipv4Addr>,
    own: Mac,
}

impl Conflicts {
    /// On the interface of this index. Until [`Conflicts::watch`], every address is watched.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, which the text explains, or there is no such interface.
    pub fn open(index: u32) -> io::Result<Self> {
        Ok(Self {
            socket: PacketSocket::receiver(index, arp::ETHERTYPE, &any_sender())?,
            watched: None,
        })
    }

    /// Tells from now on only who claims one of these addresses with a hardware address other than
    /// `own`. The kernel looks for them, so that nobody is woken by the other frames of a busy
    /// network; with no address, by none at all.
    ///
    /// # Errors
    /// The kernel refuses the filter; the one before stays.
    pub fn watch(&mut self, addresses: &[Ipv4Addr], own: Mac) -> io::Result<()> {
        self.socket.set_filter(&match addresses.len() {
            0..=FILTERED => these_senders(addresses, own),
            _ => any_sender(),
        })?;
        self.watched = Some(Watched {
            addresses: addresses.to_vec(),
            own,
        });
        Ok(())
    }

    /// The next claim, if there is one. `buffer` has [`BUFFER`] bytes. One call reads a bounded
    /// number of frames: `None` does not mean that nothing is left, which poll(2) knows.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn next(&self, buffer: &mut [u8]) -> io::Result<Option<Claim>> {
        for _ in 0..PASSED_OVER {
            let Some(length) = self.socket.receive_frame(buffer)? else {
                return Ok(None);
            };
            let sender = buffer.get(..length).and_then(arp::sender);
            let claim = sender.filter(|(ip, mac)| self.matters(*ip, *mac));
            if let Some((ip, mac)) = claim {
                let ip = ip.into();
                return Ok(Some(Claim { ip, mac }));
            }
        }
        Ok(None)
    }

    fn matters(&self, ip: Ipv4Addr, mac: Mac) -> bool {
        let watched = self.watched.as_ref();
        watched.is_none_or(|watched| watched.own != mac && watched.addresses.contains(&ip))
    }
}

impl AsFd for Conflicts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Lets every frame to this host through that is ARP over Ethernet for IPv4.
fn any_sender() -> Vec<SockFilter> {
    let mut program = preamble();
    program.push(pass());
    program
}

/// Lets only those through whose sender claims one of these addresses and is not `own`.
fn these_senders(addresses: &[Ipv4Addr], own: Mac) -> Vec<SockFilter> {
    let [a, b, c, d, e, f] = own;
    let mut program = preamble();
    program.extend([
        load_half(22),
        if_equal(u32::from(u16::from_be_bytes([a, b])), 0, 3),
        load_word(24),
        if_equal(u32::from_be_bytes([c, d, e, f]), 0, 1),
        drop_it(),
        load_word(28),
    ]);
    for ip in addresses {
        program.extend([if_equal(u32::from(*ip), 0, 1), pass()]);
    }
    program.push(drop_it());
    program
}

/// Drops what is meant for others: what goes out, and what came with the tag of another VLAN.
fn preamble() -> Vec<SockFilter> {
    vec![
        load_byte(PACKET_TYPE),
        if_above(PACKET_MULTICAST, 3, 0),
        load_word(14),
        if_equal(0x0001_0800, 0, 1),
        jump(1),
        drop_it(),
    ]
}

/// Where the kernel shows the kind of packet (SKF_AD_OFF + SKF_AD_PKTTYPE).
const PACKET_TYPE: u32 = 0xffff_f004;
/// PACKET_HOST and PACKET_BROADCAST are below it.
const PACKET_MULTICAST: u32 = 2;

fn load_byte(at: u32) -> SockFilter {
    SockFilter::new(0x30, 0, 0, at)
}

fn load_half(at: u32) -> SockFilter {
    SockFilter::new(0x28, 0, 0, at)
}

fn load_word(at: u32) -> SockFilter {
    SockFilter::new(0x20, 0, 0, at)
}

fn if_equal(value: u32, then: u8, otherwise: u8) -> SockFilter {
    SockFilter::new(0x15, then, otherwise, value)
}

fn if_above(value: u32, then: u8, otherwise: u8) -> SockFilter {
    SockFilter::new(0x25, then, otherwise, value)
}

fn jump(over: u32) -> SockFilter {
    SockFilter::new(0x05, 0, 0, over)
}

fn pass() -> SockFilter {
    SockFilter::new(0x06, 0, 0, BUFFER as u32)
}

fn drop_it() -> SockFilter {
    SockFilter::new(0x06, 0, 0, 0)
}
