//! Messages and descriptors over a Unix socket between two processes.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a message at most: ten thousand endpoints take 3 MiB.
const MAX_MESSAGE: usize = 64 << 20;
/// Descriptors that go over together; the kernel takes 253 (SCM_MAX_FD).
const BATCH: usize = 64;
/// For each single read and write: both sides have everything at hand.
const STEP: Duration = Duration::from_secs(10);
/// How often is looked whether waiting has become pointless.
const LOOK: Duration = Duration::from_millis(20);

/// One end.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(STEP))?;
        stream.set_write_timeout(Some(STEP))?;
        Ok(Self(stream))
    }

    pub(super) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let length = u32::try_from(bytes.len()).map_err(|_| too_long())?;
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(&bytes)
    }

    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| too_long())?;
        if length > MAX_MESSAGE {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        (&self.0).take(length as u64).read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Waits until something can be received or the other end is closed.
    ///
    /// # Errors
    /// `TimedOut`; `Interrupted` when `give_up` says so.
    pub(super) fn wait(&self, until: Instant, give_up: impl Fn() -> bool) -> io::Result<()> {
        let step = Timespec::try_from(LOOK).map_err(io::Error::other)?;
        loop {
            let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut watched, Some(&step)) {
                Ok(1..) => return Ok(()),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if give_up() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    pub(super) fn send_descriptors(&mut self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        for batch in descriptors.chunks(BATCH) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(batch)) {
                return Err(too_long());
            }
            // Descriptors travel along with bytes only: one for each batch.
            let byte = [IoSlice::new(b"+")];
            sendmsg(&self.0, &byte, &mut control, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Exactly so many, closed on exec.
    pub(super) fn receive_descriptors(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        let mut all = Vec::new();
        while all.len() < count {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let mut bytes = [IoSliceMut::new(&mut byte)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(self.0.as_fd(), &mut bytes, &mut control, flags)?;
            let before = all.len();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    all.extend(descriptors);
                }
            }
            if received.bytes == 0 || all.len() == before {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if all.len() > count {
            return Err(too_long());
        }
        Ok(all)
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message is too long")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().expect("a pair");
        let channel = |stream| Channel::new(stream).expect("it takes times");
        (channel(one), channel(other))
    }

    #[test]
    fn messages_and_more_descriptors_than_fit_one_batch_arrive_in_order() {
        let (mut one, mut other) = pair();
        let sockets: Vec<_> = (0..150)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback"))
            .collect();
        let ports = |sockets: &[TcpListener]| -> Vec<u16> {
            let addrs = sockets.iter().map(TcpListener::local_addr);
            addrs.map(|addr| addr.expect("bound").port()).collect()
        };
        let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        one.send(&ports(&sockets)).expect("sent");
        one.send_descriptors(&borrowed).expect("sent");
        one.send(&"end").expect("sent");
        let told: Vec<u16> = other.receive().expect("received");
        let got = other.receive_descriptors(150).expect("received");
        let got: Vec<TcpListener> = got.into_iter().map(TcpListener::from).collect();
        assert_eq!((&told, ports(&got)), (&ports(&sockets), told.clone()));
        assert_eq!(other.receive::<String>().expect("received"), "end");
    }

    #[test]
    fn the_other_ends_death_its_silence_and_nonsense_are_errors() {
        let (one, mut other) = pair();
        let soon = Instant::now() + Duration::from_millis(30);
        let silence = other.wait(soon, || false).expect_err("nothing comes");
        assert_eq!(silence.kind(), io::ErrorKind::TimedOut);
        let late = Instant::now() + Duration::from_secs(60);
        let told = other.wait(late, || true).expect_err("told to give up");
        assert_eq!(told.kind(), io::ErrorKind::Interrupted);
        (&one.0).write_all(b"\xff\xff\xff\xff").expect("sent");
        assert!(other.receive::<String>().is_err(), "four gigabytes");
        drop(one);
        other.wait(late, || false).expect("the end can be received");
        assert!(other.receive::<String>().is_err());
        assert!(other.receive_descriptors(1).is_err());
    }
}
