//! A socket to the kernel: requests and their replies (RFC 3549).

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Interfaces, addresses, routes. Its number is 0, for which rustix has no other word.
const ROUTE: Option<Protocol> = None;
/// For a reply.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of one reading: the kernel puts no more of a list into it, and a single interface is described in
/// some kilobytes.
const BUFFER: usize = 32 << 10;
/// Bytes before a message's content.
const HEADER: usize = 16;
/// The kernel knows no error beyond it.
const MAX_ERRNO: i32 = 4095;

/// A message of the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Such as RTM_NEWLINK.
    pub kind: u16,
    flags: u16,
    sequence: u32,
    /// What follows its header.
    pub content: &'a [u8],
}

/// A socket to the kernel. It never waits by itself.
#[derive(Debug)]
pub struct Socket {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

impl Socket {
    /// One for interfaces, addresses and routes (rtnetlink(7)), that hears of the changes in these
    /// groups (a mask of RTMGRP_ bits).
    ///
    /// # Errors
    /// There is no room for a socket, or a sandbox forbids netlink.
    pub fn open(groups: u32) -> Result<Self, Errno> {
        Self::of(ROUTE, groups)
    }

    /// One for generic netlink.
    ///
    /// # Errors
    /// As [`Socket::open`].
    pub fn generic() -> Result<Self, Errno> {
        Self::of(Some(rustix::net::netlink::GENERIC), 0)
    }

    fn of(protocol: Option<Protocol>, groups: u32) -> Result<Self, Errno> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            protocol,
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self {
            socket,
            sequence: Cell::new(0),
        })
    }

    /// Sends a request and hands each message of the reply to `each`, whose error ends the reading.
    ///
    /// # Errors
    /// What the kernel says; `TIMEDOUT`: it does not answer; `INTR`: the list has changed while it
    /// was read.
    pub fn request(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        each: impl FnMut(Message<'_>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let sequence = self.next_sequence();
        self.ask(&encoded(message, flags, sequence), sequence, each)
    }

    /// The same with a message that is written already, without its header.
    ///
    /// # Errors
    /// As [`Socket::request`].
    pub fn request_raw(
        &self,
        kind: u16,
        flags: u16,
        content: &[u8],
        each: impl FnMut(Message<'_>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let sequence = self.next_sequence();
        let length = u32::try_from(HEADER + content.len()).map_err(|_| Errno::MSGSIZE)?;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | end_of(flags) | flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(content);
        self.ask(&bytes, sequence, each)
    }

    fn next_sequence(&self) -> u32 {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        sequence
    }

    fn ask(
        &self,
        bytes: &[u8],
        sequence: u32,
        mut each: impl FnMut(Message<'_>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let until = Instant::now() + PATIENCE;
        rustix::net::send(&self.socket, bytes, SendFlags::empty())?;
        let mut buffer = [0; BUFFER];
        let mut was_changed = false;
        loop {
            let received = self.wait_and_receive(&mut buffer, until)?;
            for reply in messages(received).filter(|reply| reply.sequence == sequence) {
                was_changed |= reply.flags & NLM_F_DUMP_INTR != 0;
                match reply.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        code(reply.content)?;
                        return if was_changed {
                            Err(Errno::INTR)
                        } else {
                            Ok(())
                        };
                    }
                    _ => each(reply)?,
                }
            }
        }
    }

    fn wait_and_receive<'a>(
        &self,
        buffer: &'a mut [u8],
        until: Instant,
    ) -> Result<&'a [u8], Errno> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::TIMEDOUT);
            }
            let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => return Err(error),
            }
        }
        self.receive(buffer)
    }

    /// What has arrived: one or more messages.
    ///
    /// # Errors
    /// `AGAIN`: nothing has; `NOBUFS`: the kernel had more to tell than the socket holds;
    /// `MSGSIZE`: a message does not fit.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let size = buffer.len();
        let (_, length, sender) =
            rustix::net::recvfrom(&self.socket, &mut *buffer, RecvFlags::TRUNC)?;
        if length > size {
            return Err(Errno::MSGSIZE);
        }
        // Other processes may send to this socket, too, if they are privileged.
        let sender = sender.map(SocketAddrNetlink::try_from);
        let is_kernel = matches!(sender, Some(Ok(sender)) if sender.pid() == 0);
        Ok(if is_kernel { &buffer[..length] } else { &[] })
    }

    /// A buffer that every message fits into.
    pub fn buffer() -> [u8; BUFFER] {
        [0; BUFFER]
    }
}

/// For event loops.
impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn encoded(message: RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | end_of(flags) | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// A list ends with a message that says so, everything else with the acknowledgement.
fn end_of(flags: u16) -> u16 {
    match flags & NLM_F_DUMP == NLM_F_DUMP {
        true => 0,
        false => NLM_F_ACK,
    }
}

/// The messages in what was received; what is no message ends them.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let buffer = NetlinkBuffer::new_checked(bytes).ok()?;
        let length = usize::try_from(buffer.length()).ok()?;
        let message = Message {
            kind: buffer.message_type(),
            flags: buffer.flags(),
            sequence: buffer.sequence_number(),
            content: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// How a request went: nothing, or a negative number of an error.
fn code(content: &[u8]) -> Result<(), Errno> {
    let number = content.first_chunk().copied().map_or(0, i32::from_ne_bytes);
    match number.saturating_neg() {
        0 => Ok(()),
        error @ 1..=MAX_ERRNO => Err(Errno::from_raw_os_error(error)),
        _ => Err(Errno::IO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, length: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn messages_follow_each_other_at_multiples_of_four() {
        let mut bytes = message(16, 17, &[7, 0, 0, 0]);
        bytes.extend(message(17, 16, &[]));
        let found: Vec<_> = messages(&bytes)
            .map(|one| (one.kind, one.content.to_vec()))
            .collect();
        assert_eq!(found, [(16, vec![7]), (17, vec![])]);
    }

    #[test]
    fn what_is_no_message_ends_them() {
        for length in [0, 15, 21, u32::MAX] {
            assert_eq!(
                messages(&message(16, length, &[0; 4])).count(),
                0,
                "{length}"
            );
        }
        assert_eq!(messages(&[0; 15]).count(), 0);
    }

    #[test]
    fn a_number_that_is_no_error_of_the_kernel_is_an_error_all_the_same() {
        assert_eq!(code(&(-1_i32).to_ne_bytes()), Err(Errno::PERM));
        assert_eq!(code(&0_i32.to_ne_bytes()), Ok(()));
        assert_eq!(code(&[]), Ok(()));
        for strange in [i32::MIN, -4096, 1] {
            assert_eq!(code(&strange.to_ne_bytes()), Err(Errno::IO));
        }
    }
}
