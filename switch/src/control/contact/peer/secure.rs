//! How sessions between switches are kept secret. Whoever listens can try out guesses of the secret on
//! what he has recorded: it must be long and random.

use std::net::{IpAddr, Ipv6Addr};

pub use pointsman_backend::protocol::channel::{Channel, Fault, HANDSHAKE, Key as Psk};

/// Both sides must have the same one. The number is the version of what is said in a session.
const PROLOGUE: &[u8] = b"pointsman peer session 1";
const CONTEXT: &[u8] = b"pointsman peer session psk 1";

/// The key that all switches of a group derive from its secret.
pub fn psk(secret: &str) -> Psk {
    Psk::derive(secret, CONTEXT)
}

/// The addresses between which a session is. They are part of the handshake: nobody can pass one
/// switch off as another by diverting packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Of who opens the session.
    pub initiator: IpAddr,
    /// Of who waits for it.
    pub responder: IpAddr,
}

impl Ends {
    /// Whether nothing between them leaves the host.
    pub fn are_loopback(self) -> bool {
        self.initiator.to_canonical().is_loopback() && self.responder.to_canonical().is_loopback()
    }

    /// What the handshake covers.
    pub fn prologue(self) -> Vec<u8> {
        let mut prologue = PROLOGUE.to_vec();
        for end in [self.initiator, self.responder] {
            prologue.extend_from_slice(&octets(end));
        }
        prologue
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => Ipv6Addr::octets(&v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Ends = Ends {
        initiator: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        responder: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)),
    };

    fn shaken(there: Ends) -> Result<(), Fault> {
        let psk = psk("one");
        let (_, hail) = Channel::initiator(&psk, &ENDS.prologue()).unwrap();
        Channel::responder(&psk, &there.prologue()).shake(&hail[2..], &mut vec![])
    }

    #[test]
    fn a_handshake_that_was_diverted_to_another_switch_fails() {
        let responder = "192.0.2.3".parse().unwrap();
        assert_eq!(shaken(Ends { responder, ..ENDS }), Err(Fault::Unauthentic));
        let responder = "::ffff:192.0.2.2".parse().unwrap();
        assert_eq!(shaken(Ends { responder, ..ENDS }), Ok(()));
    }
}
