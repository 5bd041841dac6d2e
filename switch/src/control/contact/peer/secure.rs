//! What is said between switches is secret and from whom it seems to be: the Noise protocol
//! (revision 34) with the pattern NNpsk0. Each side proves to know the group's secret; fresh keys of
//! each session keep earlier ones secret should it leak.
//!
//! Whoever listens can try out guesses of the secret on what he has recorded: it must be long and
//! random.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::hkdf;
use snow::{Builder, HandshakeState, TransportState};

use super::ended::Ended;
use super::frame::put;

/// Bytes of each of the two messages of the handshake: an ephemeral key and a tag.
pub const HANDSHAKE: usize = 32 + TAG;
/// Bytes by which a sealed message is longer.
pub const TAG: usize = 16;

const NOISE: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// Both sides must have the same one. The number is the version of what is said in a session.
const PROLOGUE: &[u8] = b"pointsman peer session 1";
/// For what the key is derived (RFC 5869, 3.2): the secret may serve for other things, too.
const CONTEXT: &[u8] = b"pointsman peer session psk 1";

/// The key that all switches of a group derive from its secret.
#[derive(Clone)]
pub struct Psk([u8; 32]);

impl Psk {
    /// HKDF with SHA-256 (RFC 5869) of the secret's text.
    pub fn of(secret: &str) -> Self {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(secret.as_bytes())
            .expand(&[CONTEXT], hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut key))
            .expect("as many bytes are asked for as the hash has");
        Self(key)
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(..)")
    }
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

    fn prologue(self) -> Vec<u8> {
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

/// One side's view of the encryption of a session.
pub enum Channel {
    /// Between ends on one host, without a secret: nothing is encrypted.
    Plain,
    /// The responder before the initiator's handshake message: it costs no memory to wait.
    Awaiting(Psk, Ends),
    /// The initiator before the responder's handshake message.
    Greeted(Box<HandshakeState>),
    /// Messages are sealed and opened.
    Open(Box<TransportState>),
    /// The handshake has failed: nothing goes through any more.
    Failed,
}

impl Channel {
    /// Of who opens a session, with its handshake message, framed.
    ///
    /// # Errors
    /// There are no random numbers, which does not happen.
    pub fn initiator(psk: &Psk, ends: Ends) -> io::Result<(Self, Vec<u8>)> {
        let prologue = ends.prologue();
        let build = builder(psk, &prologue).and_then(Builder::build_initiator);
        let mut state = build.map_err(io::Error::other)?;
        let mut message = [0; HANDSHAKE];
        state
            .write_message(&[], &mut message)
            .map_err(io::Error::other)?;
        let mut out = vec![];
        put(&mut out, HANDSHAKE, |bytes| bytes.copy_from_slice(&message));
        Ok((Self::Greeted(Box::new(state)), out))
    }

    /// Of who waits for one.
    pub fn responder(psk: &Psk, ends: Ends) -> Self {
        Self::Awaiting(psk.clone(), ends)
    }

    /// Whether the handshake is done. For a responder that does not mean that the initiator knows
    /// the secret, as its message may be a repeated one: the first sealed message proves it.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Plain | Self::Open(_))
    }

    /// By how much a frame is longer than its message.
    pub fn overhead(&self) -> usize {
        match self {
            Self::Plain => 0,
            _ => TAG,
        }
    }

    /// Takes the peer's handshake message, and appends the answer, framed, where there is one. A
    /// message of somebody without the secret is found out before any key is agreed on.
    ///
    /// # Errors
    /// [`Ended::Unauthentic`].
    pub fn shake(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Ended> {
        let state = match std::mem::replace(self, Self::Failed) {
            Self::Greeted(mut state) => {
                state.read_message(message, &mut []).map_err(unauthentic)?;
                state
            }
            Self::Awaiting(psk, ends) => {
                let (state, answer) = respond(&psk, ends, message).map_err(unauthentic)?;
                put(out, HANDSHAKE, |bytes| bytes.copy_from_slice(&answer));
                state
            }
            Self::Plain | Self::Open(_) | Self::Failed => return Err(Ended::Unauthentic),
        };
        let state = state.into_transport_mode().map_err(unauthentic)?;
        *self = Self::Open(Box::new(state));
        Ok(())
    }

    /// Appends the message, sealed and framed. The channel must be open.
    ///
    /// # Errors
    /// [`Ended::Protocol`] after 2^64 messages.
    pub fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Ended> {
        let mut sealed = Ok(message.len());
        put(out, message.len() + self.overhead(), |bytes| match self {
            Self::Open(state) => sealed = state.write_message(message, bytes),
            _ => bytes.copy_from_slice(message),
        });
        sealed
            .map(drop)
            .map_err(|_| Ended::Protocol("there were too many messages"))
    }

    /// The message of a frame, in `opened`. The channel must be open.
    ///
    /// # Errors
    /// [`Ended::Unauthentic`]: the peer has not sealed this, or not as the next one.
    pub fn open<'a>(
        &mut self,
        frame: &'a [u8],
        opened: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended> {
        let Self::Open(state) = self else {
            return Ok(frame);
        };
        opened.resize(frame.len(), 0);
        let length = state.read_message(frame, opened).map_err(unauthentic)?;
        Ok(&opened[..length])
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Awaiting(..) => "Awaiting",
            Self::Greeted(_) => "Greeted",
            Self::Open(_) => "Open",
            Self::Failed => "Failed",
        })
    }
}

fn respond(
    psk: &Psk,
    ends: Ends,
    message: &[u8],
) -> Result<(Box<HandshakeState>, [u8; HANDSHAKE]), snow::Error> {
    let prologue = ends.prologue();
    let mut state = Box::new(builder(psk, &prologue)?.build_responder()?);
    state.read_message(message, &mut [])?;
    let mut answer = [0; HANDSHAKE];
    state.write_message(&[], &mut answer)?;
    Ok((state, answer))
}

fn builder<'a>(psk: &'a Psk, prologue: &'a [u8]) -> Result<Builder<'a>, snow::Error> {
    Builder::new(NOISE.parse()?)
        .psk(0, &psk.0)?
        .prologue(prologue)
}

fn unauthentic(_: snow::Error) -> Ended {
    Ended::Unauthentic
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Ends = Ends {
        initiator: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        responder: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)),
    };

    fn shaken(psk: &Psk, other: &Psk, there: Ends) -> Result<(Channel, Channel), Ended> {
        let (mut initiator, hail) = Channel::initiator(psk, ENDS).unwrap();
        let mut responder = Channel::responder(other, there);
        let mut answer = vec![];
        responder.shake(&hail[2..], &mut answer)?;
        initiator.shake(&answer[2..], &mut vec![])?;
        Ok((initiator, responder))
    }

    fn sealed(channel: &mut Channel, message: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        channel.seal(message, &mut out).unwrap();
        out.split_off(2)
    }

    #[test]
    fn what_one_side_seals_the_other_one_opens() {
        let psk = Psk::of("long and random");
        let (mut initiator, mut responder) = shaken(&psk, &psk, ENDS).unwrap();
        for message in [&b"x"[..], &[7; 60_000]] {
            let frame = sealed(&mut initiator, message);
            assert_eq!(frame.len(), message.len() + TAG);
            assert_eq!(responder.open(&frame, &mut vec![]).unwrap(), message);
            let frame = sealed(&mut responder, message);
            assert_eq!(initiator.open(&frame, &mut vec![]).unwrap(), message);
        }
    }

    #[test]
    fn another_secret_fails_at_the_first_message() {
        let result = shaken(&Psk::of("one"), &Psk::of("another"), ENDS);
        assert!(matches!(result, Err(Ended::Unauthentic)), "{result:?}");
    }

    #[test]
    fn a_handshake_that_was_diverted_to_another_switch_fails() {
        let psk = Psk::of("one");
        let responder = "192.0.2.3".parse().unwrap();
        let result = shaken(&psk, &psk, Ends { responder, ..ENDS });
        assert!(matches!(result, Err(Ended::Unauthentic)), "{result:?}");
        let mapped = "::ffff:192.0.2.2".parse().unwrap();
        let same = Ends {
            responder: mapped,
            ..ENDS
        };
        assert!(shaken(&psk, &psk, same).is_ok());
    }

    #[test]
    fn a_frame_that_was_changed_repeated_or_left_out_is_not_opened() {
        let psk = Psk::of("one");
        for (case, changed) in [("changed", true), ("repeated", false)] {
            let (mut initiator, mut responder) = shaken(&psk, &psk, ENDS).unwrap();
            let mut frame = sealed(&mut initiator, b"hello");
            if changed {
                frame[3] ^= 1;
            } else {
                responder.open(&frame, &mut vec![]).unwrap();
            }
            assert!(responder.open(&frame, &mut vec![]).is_err(), "{case}");
        }
        let (mut initiator, mut responder) = shaken(&psk, &psk, ENDS).unwrap();
        sealed(&mut initiator, b"lost");
        let frame = sealed(&mut initiator, b"hello");
        assert!(responder.open(&frame, &mut vec![]).is_err());
        let (mut initiator, _) = shaken(&psk, &psk, ENDS).unwrap();
        let own = sealed(&mut initiator, b"reflected");
        assert!(initiator.open(&own, &mut vec![]).is_err());
    }

    #[test]
    fn no_length_of_a_frame_panics() {
        let psk = Psk::of("one");
        let (mut open, _) = shaken(&psk, &psk, ENDS).unwrap();
        for length in (0..18).chain(46..52) {
            let bytes = vec![0x40; length];
            assert!(open.open(&bytes, &mut vec![]).is_err(), "{length}");
            let mut responder = Channel::responder(&psk, ENDS);
            assert!(responder.shake(&bytes, &mut vec![]).is_err(), "{length}");
            let (mut initiator, _) = Channel::initiator(&psk, ENDS).unwrap();
            assert!(initiator.shake(&bytes, &mut vec![]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_channel_whose_handshake_has_failed_lets_nothing_through() {
        let mut responder = Channel::responder(&Psk::of("one"), ENDS);
        assert!(responder.shake(&[7; HANDSHAKE], &mut vec![]).is_err());
        assert!(!responder.is_open());
        let (_, hail) = Channel::initiator(&Psk::of("one"), ENDS).unwrap();
        assert!(responder.shake(&hail[2..], &mut vec![]).is_err());
    }

    #[test]
    fn the_key_shows_nothing_in_a_log_and_depends_on_the_secret() {
        assert_eq!(format!("{:?}", Psk::of("one")), "Psk(..)");
        assert_ne!(Psk::of("one").0, Psk::of("two").0);
        assert_eq!(Psk::of("one").0, Psk::of("one").0);
    }
}
