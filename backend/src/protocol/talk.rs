//! What one side of a session says and hears, without the socket: bytes go in, messages come out, and
//! the other way round.

use std::io;
use std::marker::PhantomData;
use std::time::Instant;

use super::allowance::Allowance;
use super::channel::{Channel, Fault, HANDSHAKE, Key, TAG};
use super::ended::Ended;
use super::frame::Inbox;
use super::message::{MAX_MESSAGE, Message, ToAgent, ToSwitch};

/// The number is the version of what is said.
pub(super) const PROLOGUE: &[u8] = b"pointsman agent session 1";
const CONTEXT: &[u8] = b"pointsman agent session psk 1";
/// Bytes that may wait to be sent.
const MAX_WAITING: usize = 128 << 10;

/// The key of sessions of agents that this secret makes.
pub fn key(secret: &str) -> Key {
    Key::derive(secret, CONTEXT)
}

/// The agent's side.
pub type AgentTalk = Talk<ToSwitch, ToAgent>;
/// The switch's side.
pub type SwitchTalk = Talk<ToAgent, ToSwitch>;

/// One side of a session, which says `S` and hears `H`. It holds at most [`MAX_WAITING`] bytes to
/// send, and one frame that is coming: of a stranger a few dozen bytes.
#[derive(Debug)]
pub struct Talk<S, H> {
    channel: Channel,
    inbox: Inbox,
    opened: Vec<u8>,
    /// Messages that wait for the end of the handshake.
    early: Vec<Vec<u8>>,
    out: Vec<u8>,
    allowance: Allowance,
    /// A sealed message was heard: the other side knows the secret, and is not just repeating.
    proved: bool,
    sides: PhantomData<fn(S) -> H>,
}

impl AgentTalk {
    /// Of an agent: it has its handshake message to send.
    ///
    /// # Errors
    /// There are no random numbers, which does not happen.
    pub fn opener(key: &Key) -> io::Result<Self> {
        let (channel, hail) = Channel::initiator(key, PROLOGUE)?;
        Ok(Self::new(channel, hail))
    }
}

impl SwitchTalk {
    /// Of a switch: it waits for an agent.
    pub fn waiter(key: &Key) -> Self {
        Self::new(Channel::responder(key, PROLOGUE), vec![])
    }
}

impl<S: Message, H: Message> Talk<S, H> {
    fn new(channel: Channel, out: Vec<u8>) -> Self {
        Self {
            channel,
            inbox: Inbox::default(),
            opened: vec![],
            early: vec![],
            out,
            allowance: Allowance::default(),
            proved: false,
            sides: PhantomData,
        }
    }

    /// How many bytes [`Talk::take`] may be given now: at least one when [`Talk::next`] has nothing.
    pub fn room(&self) -> usize {
        self.inbox.room(self.limit())
    }

    /// What has arrived.
    pub fn take(&mut self, bytes: &[u8]) {
        self.inbox.push(bytes);
    }

    /// The next message, if there is a whole one.
    ///
    /// # Errors
    /// The session is over.
    pub fn next(&mut self, now: Instant) -> Result<Option<H>, Ended> {
        loop {
            let limit = self.limit();
            let is_open = self.channel.is_open();
            // Of a stranger: nothing is told about what exactly was wrong.
            let frame = self.inbox.frame(limit).map_err(|what| match is_open {
                true => Ended::Protocol(what),
                false => Ended::Unauthentic,
            })?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            if !is_open {
                self.channel
                    .shake(frame, &mut self.out)
                    .map_err(|_| Ended::Unauthentic)?;
                self.seal_early()?;
                continue;
            }
            if !self.allowance.take(now) {
                return Err(Ended::Flood);
            }
            let bytes = self.channel.open(frame, &mut self.opened);
            let bytes = bytes.map_err(|fault| match (fault, self.proved) {
                // Whoever has repeated another's handshake cannot go on.
                (Fault::Unauthentic, false) => Ended::Unauthentic,
                (fault, _) => fault.into(),
            })?;
            self.proved = true;
            return H::decode(bytes).map(Some).map_err(Ended::Protocol);
        }
    }

    /// Queues a message. During the handshake it waits for the end of that.
    ///
    /// # Errors
    /// It is not within its bounds, or the other side takes nothing.
    pub fn say(&mut self, message: &S) -> Result<(), Ended> {
        let bytes = message.encode().map_err(Ended::Protocol)?;
        if self.out.len() + bytes.len() > MAX_WAITING || self.early.len() > 8 {
            return Err(Ended::Silent);
        }
        if !self.channel.is_open() {
            self.early.push(bytes);
            return Ok(());
        }
        Ok(self.channel.seal(&bytes, &mut self.out)?)
    }

    /// What is to be written next.
    pub fn outgoing(&self) -> &[u8] {
        &self.out
    }

    /// So many bytes of [`Talk::outgoing`] were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.out.drain(..bytes.min(self.out.len()));
    }

    /// Whether the other side has proved to know the secret.
    pub fn is_proved(&self) -> bool {
        self.proved
    }

    fn seal_early(&mut self) -> Result<(), Ended> {
        for bytes in std::mem::take(&mut self.early) {
            self.channel.seal(&bytes, &mut self.out)?;
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        match self.channel.is_open() {
            true => MAX_MESSAGE + TAG,
            false => HANDSHAKE,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::message::Standing;

    fn pair(agent: &str, switch: &str) -> (AgentTalk, SwitchTalk) {
        let opener = AgentTalk::opener(&key(agent)).unwrap();
        (opener, SwitchTalk::waiter(&key(switch)))
    }

    fn carry<A: Message, B: Message>(from: &mut Talk<A, B>, to: &mut Talk<B, A>) -> Vec<u8> {
        let bytes = from.outgoing().to_vec();
        from.wrote(bytes.len());
        to.take(&bytes);
        bytes
    }

    fn update(weight: u32) -> ToSwitch {
        ToSwitch::Update(Standing {
            weight,
            ready: true,
            why: String::new(),
            load: String::new(),
            holds: vec![],
        })
    }

    /// Both sides after the handshake, and what the agent has sent for it.
    fn open() -> (AgentTalk, SwitchTalk, Vec<u8>) {
        let (mut agent, mut switch) = pair("one", "one");
        let now = Instant::now();
        let hail = carry(&mut agent, &mut switch);
        assert!(switch.next(now).unwrap().is_none());
        carry(&mut switch, &mut agent);
        assert!(agent.next(now).unwrap().is_none());
        (agent, switch, hail)
    }

    #[test]
    fn what_is_said_before_the_handshake_is_over_comes_after_it() {
        let (mut agent, mut switch) = pair("one", "one");
        agent.say(&update(7)).unwrap();
        let now = Instant::now();
        carry(&mut agent, &mut switch);
        assert!(switch.next(now).unwrap().is_none());
        assert!(!switch.is_proved(), "the handshake may be a repeated one");
        carry(&mut switch, &mut agent);
        assert!(agent.next(now).unwrap().is_none());
        carry(&mut agent, &mut switch);
        assert_eq!(switch.next(now).unwrap(), Some(update(7)));
        assert!(switch.is_proved());
        switch.say(&ToAgent::Released).unwrap();
        carry(&mut switch, &mut agent);
        assert_eq!(agent.next(now).unwrap(), Some(ToAgent::Released));
    }

    #[test]
    fn another_secret_is_found_out_at_the_first_frame() {
        let (mut agent, mut switch) = pair("one", "another");
        carry(&mut agent, &mut switch);
        let end = switch.next(Instant::now());
        assert!(matches!(end, Err(Ended::Unauthentic)), "{end:?}");
        assert!(switch.outgoing().is_empty(), "a stranger learns nothing");
    }

    #[test]
    fn a_session_that_was_recorded_does_not_work_a_second_time() {
        let (mut agent, mut switch, hail) = open();
        agent.say(&update(1)).unwrap();
        let recorded = carry(&mut agent, &mut switch);
        assert!(switch.next(Instant::now()).unwrap().is_some());

        let mut again = SwitchTalk::waiter(&key("one"));
        again.take(&hail);
        assert!(again.next(Instant::now()).unwrap().is_none());
        again.take(&recorded);
        let end = again.next(Instant::now());
        assert!(matches!(end, Err(Ended::Unauthentic)), "{end:?}");
    }

    #[test]
    fn a_frame_that_is_repeated_or_changed_ends_the_session() {
        for changed in [false, true] {
            let (mut agent, mut switch, _) = open();
            agent.say(&update(1)).unwrap();
            let mut frame = carry(&mut agent, &mut switch);
            assert!(switch.next(Instant::now()).unwrap().is_some());
            if changed {
                agent.say(&update(2)).unwrap();
                frame = agent.outgoing().to_vec();
                frame[5] ^= 1;
            }
            switch.take(&frame);
            let end = switch.next(Instant::now());
            assert!(matches!(end, Err(Ended::Forged)), "{changed} {end:?}");
        }
    }

    #[test]
    fn who_says_too_much_is_not_listened_to() {
        let (mut agent, mut switch, _) = open();
        let now = Instant::now();
        let end = (0..1000).find_map(|weight| {
            agent.say(&update(weight)).unwrap();
            carry(&mut agent, &mut switch);
            switch.next(now).err()
        });
        assert!(matches!(end, Some(Ended::Flood)), "{end:?}");
    }

    #[test]
    fn who_does_not_read_does_not_make_the_other_side_hoard() {
        let (mut agent, _, _) = open();
        let said = (0..100_000).take_while(|_| agent.say(&update(1)).is_ok());
        assert!(said.count() < 10_000);
        assert!(agent.outgoing().len() <= MAX_WAITING + MAX_MESSAGE);
    }

    proptest! {
        #[test]
        fn strangers_come_nowhere_whatever_they_send_and_however_it_is_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            cut in 1usize..100,
        ) {
            let mut switch = SwitchTalk::waiter(&key("one"));
            let mut rest = &bytes[..];
            let ended = loop {
                match switch.next(Instant::now()) {
                    Ok(Some(heard)) => prop_assert!(false, "{heard:?}"),
                    Ok(None) if rest.is_empty() => break false,
                    Ok(None) => {
                        let room = switch.room();
                        prop_assert!((1..100).contains(&room), "{}", room);
                        let (piece, after) = rest.split_at(rest.len().min(cut).min(room));
                        switch.take(piece);
                        rest = after;
                    }
                    Err(ended) => {
                        prop_assert_eq!(ended.word(), "unauthentic");
                        break true;
                    }
                }
            };
            prop_assert!(ended || bytes.len() < HANDSHAKE + 2);
        }
    }
}
