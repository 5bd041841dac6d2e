//! The new process's part.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::channel::Channel;
use super::{Answer, Go, Offer, OfferedSocket, VARIABLE};
use crate::app::daemon::{Daemon, Inheritance};
use crate::data::{Inherited, Origin};
use crate::sys::SocketFile;

/// How often is looked whether the first checks are over.
const LOOK: Duration = Duration::from_millis(10);

/// The process that this one takes over from.
#[derive(Debug)]
pub(in crate::app) struct Predecessor(Channel);

impl Predecessor {
    /// `None` when this process was started in the usual way.
    ///
    /// # Errors
    /// Nothing can be received although there should be.
    pub(in crate::app) fn greet() -> io::Result<Option<(Self, Inheritance)>> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        SocketFile::let_all_stay(true);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let mut channel = Channel::new(stream)?;
        let offer: Offer = channel.receive()?;
        let count = offer.sockets.len() + usize::from(offer.admin.is_some());
        let mut descriptors = channel.receive_descriptors(count)?;
        let admin = match (offer.admin, descriptors.len()) {
            (Some(admin), 1..) => descriptors.pop().and_then(|fd| taken(admin, fd)),
            _ => None,
        };
        let sockets = offer.sockets.into_iter().zip(descriptors);
        let inheritance = Inheritance {
            sockets: sockets.filter_map(|(what, fd)| taken(what, fd)).collect(),
            admin,
            known: offer.known,
            is_succession: true,
        };
        Ok(Some((Self(channel), inheritance)))
    }

    /// This process cannot take over.
    pub(in crate::app) fn refuse(mut self, why: String) {
        // When nobody listens there is nobody to be told.
        let _ = self.0.send(&Answer::Failed(why));
    }

    /// Takes over: when this returns the daemon has begun.
    ///
    /// # Errors
    /// The process before has ended, or has given up on this one.
    pub(in crate::app) fn relieve(mut self, daemon: &Daemon) -> io::Result<()> {
        while daemon.control().readiness().check().is_err() {
            std::thread::sleep(LOOK);
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.0.send(&Answer::Ready { version })?;
        let go: Go = self.0.receive()?;
        SocketFile::let_all_stay(false);
        daemon.begin(go.contact);
        // From here on this process serves, whatever becomes of the one before.
        let _ = self.0.send(&Answer::Serving);
        Ok(())
    }
}

fn taken(what: OfferedSocket, descriptor: std::os::fd::OwnedFd) -> Option<Inherited> {
    let origin = Origin {
        bind: pointsman_config::value::parse_bind(&what.bind).ok()?,
        listener: what.listener,
        file: what.file,
    };
    Some(Inherited {
        origin: Some(origin),
        socket: descriptor.into(),
    })
}
