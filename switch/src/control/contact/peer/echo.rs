//! Asks a peer's system whether it is there, by an echo (RFC 792, RFC 4443 4.1). It answers from
//! within its kernel: also when the peer's thread waits for a processor, and not when the host is
//! down or the network is cut.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::control::contact::vrrp::checksum::Sum;

/// Type, code, checksum, identifier, sequence, and what the answer must repeat.
const LENGTH: usize = 8 + 8;
/// Echoes that one call looks at.
const MAX_READ: usize = 16;
/// For an IPv4 header with options and an echo.
const BUFFER: usize = 60 + LENGTH + 1;

/// A socket for echoes of one peer.
#[derive(Debug)]
pub struct Echo {
    socket: Socket,
    is_v4: bool,
    token: u64,
    /// Those that were asked and not answered yet are newer than the last answer.
    asked: u16,
    answered: u16,
}

impl Echo {
    /// From `own` to `peer`. `token` is to be random: who has not seen a question cannot answer it.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, or there is no way to the peer.
    pub fn open(own: IpAddr, peer: IpAddr, token: u64) -> io::Result<Self> {
        let (domain, protocol) = match peer {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
        socket.bind(&SocketAddr::new(own, 0).into())?;
        // Only what the peer sends arrives here.
        socket.connect(&SocketAddr::new(peer, 0).into())?;
        Ok(Self {
            socket,
            is_v4: peer.is_ipv4(),
            token,
            asked: 0,
            answered: 0,
        })
    }

    /// Asks. That it cannot be sent is as good as no answer.
    pub fn ask(&mut self) {
        self.asked = self.asked.wrapping_add(1);
        let _ = self.socket.send(&self.question());
    }

    /// Whether a question has been answered since the last time.
    pub fn is_answered(&mut self) -> bool {
        let mut buffer = [0; BUFFER];
        let mut is_answered = false;
        for _ in 0..MAX_READ {
            let Ok(length) = (&self.socket).read(&mut buffer) else {
                break;
            };
            if let Some(sequence) = self.sequence_of(&buffer[..length]) {
                self.answered = sequence;
                is_answered = true;
            }
        }
        is_answered
    }

    fn question(&self) -> [u8; LENGTH] {
        let mut packet = [0; LENGTH];
        packet[0] = if self.is_v4 { 8 } else { 128 };
        packet[4..6].copy_from_slice(&self.identifier());
        packet[6..8].copy_from_slice(&self.asked.to_be_bytes());
        packet[8..].copy_from_slice(&self.token.to_be_bytes());
        if self.is_v4 {
            // Of IPv6, the kernel does it.
            let sum = Sum::new().bytes(&packet).checksum();
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// Of an answer to a question that has none yet.
    fn sequence_of(&self, packet: &[u8]) -> Option<u16> {
        let echo = match self.is_v4 {
            true => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
            false => packet,
        };
        let echo: &[u8; LENGTH] = echo.try_into().ok()?;
        let is_reply = echo[0] == if self.is_v4 { 0 } else { 129 };
        let is_ours = echo[4..6] == self.identifier() && echo[8..] == self.token.to_be_bytes();
        let sequence = u16::from_be_bytes([echo[6], echo[7]]);
        // Answers may overtake each other, and are none twice.
        let open = self.asked.wrapping_sub(self.answered);
        let age = self.asked.wrapping_sub(sequence);
        (is_reply && is_ours && age < open).then_some(sequence)
    }

    fn identifier(&self) -> [u8; 2] {
        (self.token as u16).to_be_bytes()
    }
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(echo: &Echo) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet.extend(echo.question());
        packet[20] = 0;
        packet
    }

    /// `None` where raw sockets are not allowed.
    fn echo(own: &str) -> Option<Echo> {
        let ip: IpAddr = own.parse().expect("an address");
        Echo::open(ip, ip, 0x0123_4567_89ab_cdef).ok()
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "that is where it belongs")]
    fn this_host_answers() {
        let name = "this_host_answers";
        for own in ["127.0.0.1", "::1"] {
            let Some(mut echo) = echo(own) else {
                println!("skipped: {name}: raw sockets or {own} cannot be had");
                continue;
            };
            assert!(!echo.is_answered(), "nothing was asked");
            echo.ask();
            let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
            while !echo.is_answered() {
                assert!(std::time::Instant::now() < until, "{own} does not answer");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            assert!(!echo.is_answered(), "one question has one answer");
        }
    }

    #[test]
    fn an_answer_counts_once_and_only_to_a_question() {
        let Some(mut echo) = echo("127.0.0.1") else {
            return;
        };
        assert_eq!(echo.sequence_of(&answer(&echo)), None, "nothing was asked");
        echo.asked = 1;
        let first = answer(&echo);
        assert_eq!(echo.sequence_of(&first), Some(1));
        echo.answered = 1;
        assert_eq!(echo.sequence_of(&first), None, "it is an old one");
        echo.asked = 2;
        assert_eq!(echo.sequence_of(&first), None, "it is an old one");
        let mut forged = answer(&echo);
        forged[30] ^= 1;
        assert_eq!(echo.sequence_of(&forged), None);
        for length in 0..first.len() {
            assert_eq!(echo.sequence_of(&answer(&echo)[..length]), None);
        }
    }
}
