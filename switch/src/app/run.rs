//! `pointsman run`

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::daemon::{Daemon, Options, StartError, Stop};
use super::upgrade::{Predecessor, Program};
use super::{Exit, NO_FILE, activation, output, panics, policy_file, watchdog};
use crate::args::Run;
use crate::control::contact;
use crate::control::source::Source;
use crate::control::status::bind_word;
use crate::control::upgrade::{Refusal, Request, Upgrades};

/// How often is looked whether all workers live.
const WATCH: Duration = Duration::from_millis(500);

pub(super) fn run(args: Run) -> Exit {
    let source = match (args.listen, policy_file(args.file)) {
        (Some(listen), _) => Source::Simple {
            listen,
            backends: args.backend,
        },
        (None, Some(file)) => Source::File(file),
        (None, None) => {
            output::error(NO_FILE);
            return Exit::Usage;
        }
    };
    panics::end_the_process();
    let program = Program::own();
    let activated = activation::sockets();
    let (predecessor, inheritance) = match Predecessor::greet() {
        Ok(Some((predecessor, inheritance))) => (Some(predecessor), inheritance),
        Ok(None) => (None, activated),
        Err(error) => return failed("taking over", &error),
    };
    raise_file_limit();
    let (sender, receiver) = mpsc::channel();
    let options = Options {
        source,
        watch: args.watch,
        extra: None,
        upgrades: Some(upgrades(sender.clone())),
        inheritance,
    };
    let daemon = match Daemon::prepare(options) {
        Ok(daemon) => daemon,
        Err(error) => {
            if let Some(predecessor) = predecessor {
                predecessor.refuse(error.render(false));
            }
            return tell(&error);
        }
    };
    let signals = match Signals::beside(&daemon, sender, receiver) {
        Ok(signals) => signals,
        Err(error) => return failed("signals", &error),
    };
    if let Err(error) = begin(&daemon, predecessor) {
        return failed("taking over", &error);
    }
    greet(&daemon);
    serve(daemon, &signals, &program)
}

fn begin(daemon: &Daemon, predecessor: Option<Predecessor>) -> std::io::Result<()> {
    if let Some(predecessor) = predecessor {
        predecessor.relieve(daemon)?;
        for place in daemon.unclaimed() {
            tracing::info!("{place} is listened on no more");
        }
        daemon.close_unclaimed();
        return Ok(());
    }
    daemon.begin(contact::Inheritance::default());
    for place in daemon.unclaimed() {
        tracing::warn!(
            "the service manager listens at {place}, and no listener of the policy does: \
             connections to it wait in vain"
        );
    }
    Ok(())
}

fn failed(what: &str, error: &std::io::Error) -> Exit {
    output::error(&format!("{what}: {error}"));
    Exit::Failed
}

fn upgrades(sender: Sender<Told>) -> Upgrades {
    Upgrades(Arc::new(move |request| {
        // Nobody reads: the process ends, and the reply's end says so.
        let _ = sender.send(Told::Upgrade(request));
    }))
}

/// Tells why a switch did not start.
pub(crate) fn tell(error: &StartError) -> Exit {
    match error {
        StartError::Policy(refused) => {
            output::message(&refused.render(output::color_err()));
            Exit::Invalid
        }
        StartError::System(message) => {
            output::error(message);
            Exit::Failed
        }
    }
}

/// Every connection takes one file descriptor here and one towards its backend.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(
            "the limit of open files stays at {:?}: {error}",
            limit.current
        );
    }
}

/// What the process was told.
#[derive(Debug)]
pub(crate) enum Told {
    /// HUP: read the policy again.
    Reload,
    /// TERM or INT: end.
    End,
    /// The admin interface: hand over to a new process.
    Upgrade(Request),
}

/// Signals, from the moment this is made.
#[derive(Debug)]
pub(crate) struct Signals(Receiver<Told>);

impl Signals {
    /// Takes up HUP, TERM and INT.
    pub(crate) fn of(daemon: &Daemon) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        Self::beside(daemon, sender, receiver)
    }

    /// The same, along with what else is sent to `receiver`.
    fn beside(
        daemon: &Daemon,
        sender: Sender<Told>,
        receiver: Receiver<Told>,
    ) -> std::io::Result<Self> {
        let runtime = daemon.control().runtime();
        let _entered = runtime.enter();
        let kinds = [
            (SignalKind::hangup(), (|| Told::Reload) as fn() -> Told),
            (SignalKind::terminate(), || Told::End),
            (SignalKind::interrupt(), || Told::End),
        ];
        for (kind, told) in kinds {
            runtime.spawn(pass_on(signal(kind)?, told, sender.clone()));
        }
        Ok(Self(receiver))
    }

    /// Waits for the next one, for so long at most.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Told> {
        self.0.recv_timeout(patience).ok()
    }

    /// Whether the process was told to end since the last time somebody looked.
    pub(crate) fn end(&self) -> bool {
        self.0.try_iter().any(|told| matches!(told, Told::End))
    }
}

async fn pass_on(mut signal: Signal, told: fn() -> Told, sender: Sender<Told>) {
    while signal.recv().await.is_some() {
        let _ = sender.send(told());
    }
}

fn greet(daemon: &Daemon) {
    let policy = daemon.policy();
    if !policy.warnings.problems.is_empty() {
        output::message(&policy.warnings.render_text(output::color_err()));
    }
    for (listener, address) in daemon.addresses() {
        tracing::info!("listener {listener} at {}", bind_word(&address));
    }
    if let Some(address) = daemon.admin() {
        tracing::info!("admin interface at {}", bind_word(address));
    }
    tracing::info!(
        "pointsman {} runs, policy {}",
        env!("CARGO_PKG_VERSION"),
        policy.digest
    );
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    watchdog::begin(daemon);
}

fn serve(daemon: Daemon, signals: &Signals, program: &Program) -> Exit {
    let ended = Cell::new(false);
    while !ended.get() {
        match signals.wait(WATCH) {
            Some(Told::End) => break,
            Some(Told::Upgrade(request)) => {
                let give_up = || {
                    ended.set(ended.get() || meanwhile(&daemon, signals));
                    ended.get()
                };
                if upgrade(&daemon, request, program, give_up) {
                    return leave(daemon, signals);
                }
            }
            Some(Told::Reload) => {
                daemon.reopen_log();
                daemon.control().reloads().ask("SIGHUP");
            }
            None if !daemon.is_whole() => {
                output::error("a worker thread has died; its panic stands above");
                return Exit::Failed;
            }
            None => {}
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    let limit = daemon.policy().process.drain;
    tracing::info!("ending: what is under way may take {limit:?}, a second signal cuts it short");
    daemon.stop(Stop::Drain(limit), || signals.end());
    Exit::Ok
}

/// Takes up what is told while a new process starts; whether this one is to end.
fn meanwhile(daemon: &Daemon, signals: &Signals) -> bool {
    let mut end = false;
    for told in signals.0.try_iter() {
        match told {
            Told::End => end = true,
            Told::Reload => daemon.control().reloads().ask("SIGHUP"),
            Told::Upgrade(request) => {
                let why = "another upgrade is under way".to_owned();
                let _ = request.reply.send(Err(Refusal::Failed(why)));
            }
        }
    }
    end
}

/// Whether a new process has taken over.
fn upgrade(
    daemon: &Daemon,
    request: Request,
    program: &Program,
    give_up: impl Fn() -> bool,
) -> bool {
    tracing::info!("upgrading");
    let outcome = match program.hand_over(daemon, &request, give_up) {
        Ok((pid, line)) => {
            let _ = sd_notify::notify(&[NotifyState::MainPid(pid)]);
            tracing::info!("{line}");
            Ok(line)
        }
        Err(refusal) => {
            let (Refusal::Unsafe(why) | Refusal::Failed(why)) = &refusal;
            tracing::error!("no upgrade, everything is as before: {why}");
            Err(refusal)
        }
    };
    let taken_over = outcome.is_ok();
    // Whoever asked may have gone.
    let _ = request.reply.send(outcome);
    taken_over
}

/// Ends after another process has taken over. The service manager is told nothing: for it the
/// service goes on.
fn leave(daemon: Daemon, signals: &Signals) -> Exit {
    let limit = daemon.policy().process.drain;
    daemon.stop(Stop::HandOver(limit), || signals.end());
    Exit::Ok
}
