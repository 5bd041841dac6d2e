//! `pointsman run`

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::daemon::{Daemon, Options, StartError};
use super::{Exit, NO_FILE, output, panics, policy_file};
use crate::args::Run;
use crate::control::source::Source;
use crate::control::status::bind_word;

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
    raise_file_limit();
    let options = Options {
        source,
        watch: args.watch,
        extra: None,
    };
    let daemon = match Daemon::start(options) {
        Ok(daemon) => daemon,
        Err(error) => return tell(&error),
    };
    let signals = match Signals::of(&daemon) {
        Ok(signals) => signals,
        Err(error) => {
            output::error(&format!("signals: {error}"));
            return Exit::Failed;
        }
    };
    greet(&daemon);
    serve(daemon, &signals)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// HUP: read the policy again.
    Reload,
    /// TERM or INT: end.
    End,
}

/// Signals, from the moment this is made.
#[derive(Debug)]
pub(crate) struct Signals(Receiver<Told>);

impl Signals {
    /// Takes up HUP, TERM and INT.
    pub(crate) fn of(daemon: &Daemon) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let runtime = daemon.control().runtime();
        let _entered = runtime.enter();
        let kinds = [
            (SignalKind::hangup(), Told::Reload),
            (SignalKind::terminate(), Told::End),
            (SignalKind::interrupt(), Told::End),
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
        self.0.try_iter().any(|told| told == Told::End)
    }
}

async fn pass_on(mut signal: Signal, told: Told, sender: Sender<Told>) {
    while signal.recv().await.is_some() {
        let _ = sender.send(told);
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
}

fn serve(daemon: Daemon, signals: &Signals) -> Exit {
    loop {
        match signals.wait(WATCH) {
            Some(Told::End) => break,
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
    daemon.stop(limit, || signals.end());
    Exit::Ok
}
