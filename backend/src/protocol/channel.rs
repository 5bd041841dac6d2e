//! What is said is secret and from whom it seems to be: the Noise protocol (revision 34) with the
//! pattern NNpsk0. Each side proves to know the secret; fresh keys of each session keep earlier ones
//! secret should it leak. Sessions of agents are kept so, and those between switches.
//!
//! Whoever listens can try out guesses of the secret on what he has recorded: it must be long and
//! random.

use std::fmt;
use std::io;

use aws_lc_rs::hkdf;
use snow::{Builder, HandshakeState, TransportState};

use super::frame::put;

/// Bytes of each of the two messages of the handshake: an ephemeral key and a tag.
pub const HANDSHAKE: usize = 32 + TAG;
/// Bytes by which a sealed message is longer.
pub const TAG: usize = 16;

const NOISE: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// The key that both sides derive from the secret that they share.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// HKDF with SHA-256 (RFC 5869) of the secret's text. `context` says for what (3.2): the secret
    /// may serve for other things, too.
    pub fn derive(secret: &str, context: &[u8]) -> Self {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(secret.as_bytes())
            .expand(&[context], hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut key))
            .expect("as many bytes are asked for as the hash has");
        Self(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why a channel lets nothing through any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Whoever is there has not proved to know the secret, or somebody has changed, repeated or left
    /// out what was on its way.
    Unauthentic,
    /// 2^64 messages were sent.
    Spent,
}

/// One side's view of the encryption of a session.
pub enum Channel {
    /// Nothing is encrypted: for ends on one host alone.
    Plain,
    /// The responder before the initiator's handshake message: it costs no memory to wait.
    Awaiting(Key, Vec<u8>),
    /// The initiator before the responder's handshake message.
    Greeted(Box<HandshakeState>),
    /// Messages are sealed and opened.
    Open(Box<TransportState>),
    /// The handshake has failed: nothing goes through any more.
    Failed,
}

impl Channel {
    /// Of who opens a session, with its handshake message, framed. Both sides must have the same
    /// `prologue`: it says what kind of session it is, of which version, and perhaps between whom.
    ///
    /// # Errors
    /// There are no random numbers, which does not happen.
    pub fn initiator(key: &Key, prologue: &[u8]) -> io::Result<(Self, Vec<u8>)> {
        let build = builder(key, prologue).and_then(Builder::build_initiator);
        let mut state = build.map_err(io::Error::other)?;
        let mut message = [0; HANDSHAKE];
        state
            .write_message(&[], &mut message)
            .map_err(io::Error::other)?;
        let mut out = vec![];
        put(&mut out, HANDSHAKE, |bytes| bytes.copy_from_slice(&message));
        Ok((Self::Greeted(Box::new(state)), out))
    }

    /// Of who waits for one; `prologue` as in [`Channel::initiator`].
    pub fn responder(key: &Key, prologue: &[u8]) -> Self {
        Self::Awaiting(key.clone(), prologue.to_vec())
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
    /// [`Fault::Unauthentic`].
    pub fn shake(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let state = match std::mem::replace(self, Self::Failed) {
            Self::Greeted(mut state) => {
                state.read_message(message, &mut []).map_err(unauthentic)?;
                state
            }
            Self::Awaiting(key, prologue) => {
                let (state, answer) = respond(&key, &prologue, message).map_err(unauthentic)?;
                put(out, HANDSHAKE, |bytes| bytes.copy_from_slice(&answer));
                state
            }
            Self::Plain | Self::Open(_) | Self::Failed => return Err(Fault::Unauthentic),
        };
        let state = state.into_transport_mode().map_err(unauthentic)?;
        *self = Self::Open(Box::new(state));
        Ok(())
    }

    /// Appends the message, sealed and framed. The channel must be open.
    ///
    /// # Errors
    /// [`Fault::Spent`].
    pub fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut sealed = Ok(message.len());
        put(out, message.len() + self.overhead(), |bytes| match self {
            Self::Open(state) => sealed = state.write_message(message, bytes),
            _ => bytes.copy_from_slice(message),
        });
        sealed.map(drop).map_err(|_| Fault::Spent)
    }

    /// The message of a frame, in `opened`. The channel must be open.
    ///
    /// # Errors
    /// [`Fault::Unauthentic`]: the peer has not sealed this, or not as the next one.
    pub fn open<'a>(
        &mut self,
        frame: &'a [u8],
        opened: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Fault> {
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
    key: &Key,
    prologue: &[u8],
    message: &[u8],
) -> Result<(Box<HandshakeState>, [u8; HANDSHAKE]), snow::Error> {
    let mut state = Box::new(builder(key, prologue)?.build_responder()?);
    state.read_message(message, &mut [])?;
    let mut answer = [0; HANDSHAKE];
    state.write_message(&[], &mut answer)?;
    Ok((state, answer))
}

fn builder<'a>(key: &'a Key, prologue: &'a [u8]) -> Result<Builder<'a>, snow::Error> {
    Builder::new(NOISE.parse()?)
        .psk(0, &key.0)?
        .prologue(prologue)
}

fn unauthentic(_: snow::Error) -> Fault {
    Fault::Unauthentic
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROLOGUE: &[u8] = b"a test 1";

    fn key(secret: &str) -> Key {
        Key::derive(secret, b"a test")
    }

    fn shaken(one: &Key, other: &Key, there: &[u8]) -> Result<(Channel, Channel), Fault> {
        let (mut initiator, hail) = Channel::initiator(one, PROLOGUE).unwrap();
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
        let one = key("long and random");
        let (mut initiator, mut responder) = shaken(&one, &one, PROLOGUE).unwrap();
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
        let result = shaken(&key("one"), &key("another"), PROLOGUE);
        assert!(matches!(result, Err(Fault::Unauthentic)), "{result:?}");
    }

    #[test]
    fn another_kind_of_session_fails_at_the_first_message() {
        let result = shaken(&key("one"), &key("one"), b"a test 2");
        assert!(matches!(result, Err(Fault::Unauthentic)), "{result:?}");
    }

    #[test]
    fn a_frame_that_was_changed_repeated_or_left_out_is_not_opened() {
        let one = key("one");
        for (case, changed) in [("changed", true), ("repeated", false)] {
            let (mut initiator, mut responder) = shaken(&one, &one, PROLOGUE).unwrap();
            let mut frame = sealed(&mut initiator, b"hello");
            if changed {
                frame[3] ^= 1;
            } else {
                responder.open(&frame, &mut vec![]).unwrap();
            }
            assert!(responder.open(&frame, &mut vec![]).is_err(), "{case}");
        }
        let (mut initiator, mut responder) = shaken(&one, &one, PROLOGUE).unwrap();
        sealed(&mut initiator, b"lost");
        let frame = sealed(&mut initiator, b"hello");
        assert!(responder.open(&frame, &mut vec![]).is_err());
        let (mut initiator, _) = shaken(&one, &one, PROLOGUE).unwrap();
        let own = sealed(&mut initiator, b"reflected");
        assert!(initiator.open(&own, &mut vec![]).is_err());
    }

    #[test]
    fn no_length_of_a_frame_panics() {
        let one = key("one");
        let (mut open, _) = shaken(&one, &one, PROLOGUE).unwrap();
        for length in (0..18).chain(46..52) {
            let bytes = vec![0x40; length];
            assert!(open.open(&bytes, &mut vec![]).is_err(), "{length}");
            let mut responder = Channel::responder(&one, PROLOGUE);
            assert!(responder.shake(&bytes, &mut vec![]).is_err(), "{length}");
            let (mut initiator, _) = Channel::initiator(&one, PROLOGUE).unwrap();
            assert!(initiator.shake(&bytes, &mut vec![]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_channel_whose_handshake_has_failed_lets_nothing_through() {
        let mut responder = Channel::responder(&key("one"), PROLOGUE);
        assert!(responder.shake(&[7; HANDSHAKE], &mut vec![]).is_err());
        assert!(!responder.is_open());
        let (_, hail) = Channel::initiator(&key("one"), PROLOGUE).unwrap();
        assert!(responder.shake(&hail[2..], &mut vec![]).is_err());
    }

    #[test]
    fn the_key_shows_nothing_in_a_log_and_depends_on_the_secret() {
        assert_eq!(format!("{:?}", key("one")), "Key(..)");
        assert_ne!(key("one").0, key("two").0);
        assert_eq!(key("one").0, key("one").0);
        assert_ne!(key("one").0, Key::derive("one", b"another").0);
    }
}
