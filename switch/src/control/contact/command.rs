//! What the rest of the process has the contact thread do.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use serde::{Deserialize, Serialize};

use super::group::GroupId;
use super::plan::Plan;

/// For the thread to answer: a handover takes a second at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug)]
pub(super) enum Command {
    /// Join the groups; go on as the holder of these.
    Begin(Inheritance),
    /// Another policy holds. The answer says why it cannot.
    Change(Box<Plan>, Sender<Result<(), String>>),
    /// Hand everything over and stay out. The answer comes when that is done.
    Leave(Sender<()>),
    /// Let another process go on with the roles. The answer says which.
    Bequeath(Sender<Inheritance>),
    /// Take everything off the network, and end.
    End,
}

/// What one process leaves to the next. Another version may leave out or add fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inheritance {
    /// Groups whose addresses it holds.
    pub holds: Vec<GroupId>,
    /// Groups that the operator had it give up.
    pub yielded: Vec<GroupId>,
    /// Devices whose addresses are announced by a routing daemon.
    pub announced: Vec<String>,
    /// The operator had the routes withdrawn.
    pub routes_yielded: bool,
    /// Where segments of unknown connections go, by the link-layer address.
    pub relays: Vec<(GroupId, [u8; 6])>,
    /// Settings of the kernel that are held, and what they were before.
    pub settings: Vec<(PathBuf, String)>,
}

/// Hands commands in and wakes the thread.
#[derive(Debug, Clone)]
pub(super) struct Commands {
    sender: Sender<Command>,
    wake: Arc<OwnedFd>,
}

/// Takes policies.
#[derive(Debug, Clone)]
pub struct PlanDesk(Commands);

impl PlanDesk {
    pub(super) fn new(commands: Commands) -> Self {
        Self(commands)
    }

    /// Puts another policy into force, all of it or nothing.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn change(&self, plan: Plan) -> Result<(), String> {
        let outcome = self.0.ask(|reply| Command::Change(Box::new(plan), reply));
        let ended = || Err("the thread of the contact addresses does not answer".to_owned());
        outcome.unwrap_or_else(ended)
    }
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct CommandInbox {
    receiver: Receiver<Command>,
    wake: Arc<OwnedFd>,
}

/// A new pair.
///
/// # Errors
/// The system has no more descriptors.
pub(super) fn commands() -> io::Result<(Commands, CommandInbox)> {
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (sender, receiver) = channel();
    let commands = Commands {
        sender,
        wake: wake.clone(),
    };
    Ok((commands, CommandInbox { receiver, wake }))
}

impl Commands {
    /// Hands one in.
    pub(super) fn send(&self, command: Command) {
        // Nobody is there to take it when the thread has ended: then there is nothing to be done.
        let _ = self.sender.send(command);
        self.wake();
    }

    /// Hands one in and waits for its answer; `None` when the thread has ended.
    pub(super) fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = channel();
        self.send(command(reply));
        answer.recv_timeout(PATIENCE).ok()
    }

    /// Has the thread look at what waits for it.
    pub(super) fn wake(&self) {
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }
}

impl CommandInbox {
    /// The next command, without waiting.
    pub(super) fn take(&self) -> Option<Command> {
        self.receiver.try_recv().ok()
    }

    /// Nothing has been handed in since, as far as the descriptor tells.
    pub(super) fn calm(&self) {
        let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
    }
}

impl AsFd for CommandInbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_wakes_and_is_answered() {
        let (commands, inbox) = commands().expect("a descriptor");
        let thread = std::thread::spawn(move || {
            let mut watched = [rustix::event::PollFd::new(
                &inbox,
                rustix::event::PollFlags::IN,
            )];
            rustix::event::poll(&mut watched, None).expect("it is woken");
            inbox.calm();
            let Some(Command::Leave(reply)) = inbox.take() else {
                panic!("a command is there");
            };
            reply.send(()).expect("somebody waits");
        });
        assert_eq!(commands.ask(Command::Leave), Some(()));
        thread.join().expect("it ends");
        assert_eq!(commands.ask(Command::Leave), None, "the thread has ended");
    }
}
