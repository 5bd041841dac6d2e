//! The running process's part.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::{Answer, Go, Offer, OfferedSocket, VARIABLE};
use crate::app::daemon::Daemon;
use crate::control::status::bind_word;
use crate::control::upgrade::{Known, Refusal, Request};
use crate::data::Inherited;

/// For the new process to become ready: the first checks of new backends take five seconds at most,
/// certificates may lie on a slow disk.
const LIMIT: Duration = Duration::from_secs(30);
/// From there to the first connection.
const BEGIN: Duration = Duration::from_secs(5);

/// What was started, and can be started again.
#[derive(Debug)]
pub(in crate::app) struct Program(io::Result<PathBuf>);

impl Program {
    /// This process's. To be called at its start: later the file may have moved, and another one
    /// stand at its path.
    pub(in crate::app) fn own() -> Self {
        Self(std::env::current_exe())
    }

    /// Starts the new process and hands everything over to it. Gives back its id, and a line that
    /// tells of it. `give_up` ends the attempt.
    ///
    /// # Errors
    /// Why not; the new process is gone then.
    pub(in crate::app) fn hand_over(
        &self,
        daemon: &Daemon,
        request: &Request,
        give_up: impl Fn() -> bool,
    ) -> Result<(u32, String), Refusal> {
        let own = std::process::id();
        if own == 1 {
            return Err(Refusal::Unsafe(
                "this is the first process of its container: the container would end with it. \
                 Start a container of the new version and stop this one"
                    .to_owned(),
            ));
        }
        let file = request.binary.as_deref().or(self.0.as_deref().ok());
        let file = file.ok_or_else(|| Refusal::Failed("the program's file is unknown".into()))?;
        let (mut child, channel) =
            start(file).map_err(|error| Refusal::Failed(format!("{}: {error}", file.display())))?;
        match converse(channel, daemon, &request.known, give_up) {
            Ok(version) => {
                let pid = child.id();
                let line = format!(
                    "process {pid}, version {version}, has taken over; process {own} finishes \
                     what is under way"
                );
                Ok((pid, line))
            }
            Err(why) => Err(Refusal::Failed(why + &end(&mut child))),
        }
    }
}

fn start(file: &Path) -> io::Result<(Child, Channel)> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(file)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, "1")
        // What the service manager passed to this process is offered like everything else.
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_FDNAMES")
        // The watchdog waits for whoever is the service then.
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    Ok((child, Channel::new(ours)?))
}

/// From the offer to the new process's last answer; gives back its version.
fn converse(
    mut channel: Channel,
    daemon: &Daemon,
    known: &Known,
    give_up: impl Fn() -> bool,
) -> Result<String, String> {
    offer(&mut channel, daemon, known)
        .map_err(|error| format!("the new process takes no sockets: {error}"))?;
    let version = match answer(&mut channel, LIMIT, &give_up)? {
        Answer::Ready { version } => version,
        Answer::Failed(why) => return Err(format!("the new process cannot start:\n{why}")),
        Answer::Serving => return Err("the new process serves unasked".to_owned()),
    };
    let contact = daemon.bequeath_contacts();
    let go = Go {
        contact: contact.clone(),
    };
    let begun = begin(&mut channel, &go);
    if begun.is_err() {
        daemon.keep_contacts(contact);
    }
    begun.map(|()| version)
}

fn begin(channel: &mut Channel, go: &Go) -> Result<(), String> {
    channel
        .send(go)
        .map_err(|error| format!("the new process ended when it was ready: {error}"))?;
    match answer(channel, BEGIN, || false)? {
        Answer::Serving => Ok(()),
        other => Err(format!("the new process answered {other:?}")),
    }
}

fn offer(channel: &mut Channel, daemon: &Daemon, known: &Known) -> io::Result<()> {
    let (sockets, admin) = daemon.lend()?;
    channel.send(&Offer {
        sockets: sockets.iter().filter_map(offered).collect(),
        admin: admin.as_ref().and_then(offered),
        known: known.clone(),
    })?;
    let all = sockets.iter().chain(&admin);
    let all: Vec<_> = all.map(|one| one.socket.as_fd()).collect();
    channel.send_descriptors(&all)
}

fn offered(inherited: &Inherited) -> Option<OfferedSocket> {
    let origin = inherited.origin.as_ref()?;
    Some(OfferedSocket {
        listener: origin.listener.clone(),
        bind: bind_word(&origin.bind),
        file: origin.file,
    })
}

fn answer(
    channel: &mut Channel,
    limit: Duration,
    give_up: impl Fn() -> bool,
) -> Result<Answer, String> {
    let waited = channel.wait(Instant::now() + limit, give_up);
    waited
        .and_then(|()| channel.receive())
        .map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => format!("the new process was not ready within {limit:?}"),
            io::ErrorKind::Interrupted => "this process was told to end meanwhile".to_owned(),
            _ => "the new process ended before it was ready".to_owned(),
        })
}

/// Ends a process that came to nothing; gives back how it ended if it did so by itself.
fn end(child: &mut Child) -> String {
    // One that has closed the channel is about to end: how it does is worth a moment.
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        if let Ok(Some(status)) = child.try_wait() {
            return format!(" ({status})");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    String::new()
}
