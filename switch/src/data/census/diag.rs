//! Socket diagnosis by netlink, as ss(8) does (sock_diag(7)): the kernel picks out the addresses.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::State;

/// Addresses that are asked for at most: their conditions must fit into one attribute.
const MAX_ADDRESSES: usize = 1000;
/// The kernel answers at once, or never.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of one answer at most; the kernel makes them 32 KiB.
const ANSWER: usize = 64 * 1024;
/// `struct nlmsghdr`
const HEADER: usize = 16;
/// `struct inet_diag_req_v2`
const REQUEST: usize = 56;
/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// Marks this question's answers.
const SEQUENCE: u32 = 1;

/// Connections to these addresses and ports.
///
/// # Errors
/// The kernel has no socket diagnosis, or no memory.
pub fn count(addresses: &BTreeSet<IpAddr>, ports: &BTreeSet<u16>) -> io::Result<usize> {
    let v4: Vec<IpAddr> = addresses.iter().copied().filter(IpAddr::is_ipv4).collect();
    let all: Vec<IpAddr> = addresses.iter().copied().collect();
    let mut count = 0;
    // A socket for IPv6 may have connections of IPv4.
    for (family, addresses) in [(libc::AF_INET, v4), (libc::AF_INET6, all)] {
        for some in addresses.chunks(MAX_ADDRESSES) {
            count += dump(&request(family as u8, some), ports)?;
        }
    }
    Ok(count)
}

fn dump(request: &[u8], ports: &BTreeSet<u16>) -> io::Result<usize> {
    let protocol = Protocol::from(libc::NETLINK_SOCK_DIAG);
    let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(request)?;
    let (mut count, mut answer) = (0, vec![0; ANSWER]);
    loop {
        let n = socket.read(&mut answer)?;
        let mut rest = &answer[..n];
        while let Some((message, after)) = split(rest) {
            rest = after;
            match message.kind {
                _ if message.sequence != SEQUENCE => {}
                BY_FAMILY => count += usize::from(counts(message.body, ports)),
                kind if i32::from(kind) == libc::NLMSG_DONE => return Ok(count),
                kind if i32::from(kind) == libc::NLMSG_ERROR => return Err(error(message.body)),
                _ => {}
            }
        }
    }
}

/// The question for all connections of a family to one of these addresses.
fn request(family: u8, addresses: &[IpAddr]) -> Vec<u8> {
    let conditions = conditions(addresses);
    let length = HEADER + REQUEST + 4 + conditions.len();
    let states = State::OPEN
        .iter()
        .fold(0u32, |mask, state| mask | 1 << state.0);
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, libc::IPPROTO_TCP as u8, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    // No particular socket.
    bytes.extend([0; 40]);
    bytes.extend([0xff; 8]);
    bytes.extend(((4 + conditions.len()) as u16).to_ne_bytes());
    // INET_DIAG_REQ_BYTECODE
    bytes.extend(1u16.to_ne_bytes());
    bytes.extend(conditions);
    bytes
}

/// A program for the kernel (include/uapi/linux/inet_diag.h): "the local address is the first one,
/// or the second...". To go on exactly at its end is yes, to go on behind that is no.
fn conditions(addresses: &[IpAddr]) -> Vec<u8> {
    const JUMP: u8 = 1;
    const LOCAL_ADDRESS: u8 = 7;
    let octets = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut program = Vec::new();
    // From the last to the first: what is behind tells how far to jump.
    for ip in addresses.iter().rev() {
        let (octets, behind) = (octets(ip), program);
        let own = 4 + 8 + octets.len() as u8;
        let family = if ip.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        program = vec![LOCAL_ADDRESS, own];
        // If not, past the jump.
        program.extend((u16::from(own) + 4).to_ne_bytes());
        program.extend([family as u8, octets.len() as u8 * 8, 0, 0]);
        // At any port.
        program.extend((-1i32).to_ne_bytes());
        program.extend(octets);
        if !behind.is_empty() {
            program.extend([JUMP, 4]);
            program.extend((behind.len() as u16 + 4).to_ne_bytes());
            program.extend(behind);
        }
    }
    program
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

/// The first message and what follows it.
fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let header = bytes.first_chunk::<HEADER>()?;
    let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
    let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    let message = Message {
        kind: u16::from_ne_bytes([k0, k1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        body: bytes.get(HEADER..length)?,
    };
    let next = length.next_multiple_of(4).min(bytes.len());
    Some((message, &bytes[next..]))
}

/// Whether this `struct inet_diag_msg` is of a connection that counts.
fn counts(message: &[u8], ports: &BTreeSet<u16>) -> bool {
    let (Some(state), Some(port), Some(inode)) = (
        message.get(1),
        message.get(4..).and_then(<[u8]>::first_chunk::<2>),
        message.get(68..).and_then(<[u8]>::first_chunk::<4>),
    ) else {
        return false;
    };
    let inode = u32::from_ne_bytes(*inode);
    ports.contains(&u16::from_be_bytes(*port)) && State(*state).counts(inode.into())
}

fn error(message: &[u8]) -> io::Error {
    match message.first_chunk::<4>() {
        Some(code) => io::Error::from_raw_os_error(i32::from_ne_bytes(*code).saturating_neg()),
        None => io::ErrorKind::InvalidData.into(),
    }
}
