//! The control plane: events in, snapshots out. It has a thread of its own, so that it answers
//! when the data plane is busy.
//!
//! [`reconcile`] is the one owner of what may change: the policy in force, the table of endpoints
//! and the publisher of snapshots. Everything else here sends it messages.

pub mod admin;
pub mod agents;
mod bpf;
pub mod clock;
pub mod contact;
pub mod direct;
pub mod discovery;
pub mod endpoints;
pub mod explain;
#[cfg(feature = "otlp")]
mod export;
pub mod health;
pub mod history;
pub mod inside;
pub mod journal;
mod listen;
pub mod live;
pub mod orders;
pub mod overlay;
pub mod plan;
pub mod random;
pub mod readiness;
pub mod reconcile;
pub mod reload;
pub mod source;
pub mod standing;
pub mod state;
pub mod status;
#[cfg(test)]
mod testing;
pub mod upgrade;
pub mod watch;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pointsman_config::policy::{BindAddr, PoolTls, Tls};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch as watch_channel};

use crate::endpoint::EndpointId;
use crate::event::Event;
use crate::pulse::Pulses;
use crate::shared::InCommon;
use crate::shared::tickets::TicketKeys;
use crate::snapshot::{ListenerSettings, Terminator};
use crate::trace::Traces;
use agents::Registrar;
use contact::desk::ContactParts;
use direct::Direct;
use readiness::Readiness;
use reconcile::Reconciler;
use reload::{Reloads, Watched};
use source::Source;
use state::State;

/// For the admin interface's answers that are under way when the control plane ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The data plane as the control plane sees it.
pub trait Listeners: Send + Sync + 'static {
    /// Sockets that are open and not yet in use.
    type Prepared: Send;

    /// What terminates TLS with these files and makes session tickets with these keys.
    ///
    /// # Errors
    /// Why the files cannot be used, in words for the operator.
    fn tls(tls: &Tls, tickets: &Arc<TicketKeys>) -> Result<Arc<Terminator>, String>;

    /// What speaks TLS with backends as the policy of their pool says.
    ///
    /// # Errors
    /// Why the files cannot be used, in words for the operator.
    fn client_tls(tls: &PoolTls) -> Result<Arc<rustls::ClientConfig>, String>;

    /// Opens the sockets that are wanted and not there yet. Nothing changes until
    /// [`Listeners::commit`].
    ///
    /// # Errors
    /// What could not be opened, why, and what to do about it.
    fn prepare(&self, listeners: &[Arc<ListenerSettings>]) -> Result<Self::Prepared, String>;

    /// Takes the prepared sockets into use and closes those that are not wanted any more.
    fn commit(&self, prepared: Self::Prepared);

    /// Changes the limit for client connections.
    fn set_max_connections(&self, limit: usize);

    /// Every address that is listened on, with the listener's name.
    fn addresses(&self) -> Vec<(String, BindAddr)>;

    /// Asks the clients of all connections that are open now to leave, and goes on for new ones:
    /// their next responses are their last, those that wait for a request are closed after the
    /// grace. TCP connections and tunnels go on.
    fn ask_to_leave(&self, grace: Duration);

    /// Client connections to these addresses of this host, also those of an earlier process; a
    /// connection counts until its last bytes are acknowledged. Tens of milliseconds where there
    /// are 100 000: not for a thread that must not wait.
    fn connections_at(&self, addresses: &[IpAddr]) -> usize;

    /// Closes the open TCP connections and tunnels to these backends.
    fn cut(&self, endpoints: &[EndpointId]);

    /// Whether the workers turn; without workers nothing is delayed.
    fn pulses(&self) -> Arc<Pulses>;
}

/// What the control plane starts with.
#[derive(Debug)]
pub struct Setup<L> {
    /// The first policy, built.
    pub state: State,
    /// Where later policies come from.
    pub source: Source,
    /// Whether changed files are read without being asked.
    pub watch: bool,
    /// The data plane.
    pub listeners: Arc<L>,
    /// What the data plane uses and other switches are told of.
    pub common: InCommon,
    /// The data plane's events.
    pub events: mpsc::Receiver<Event>,
    /// The admin interface's socket.
    pub admin: Option<admin::Socket>,
    /// What the admin interface answers beyond its own.
    pub extra: Option<admin::Extra>,
    /// Who is asked for upgrades, if they are possible.
    pub upgrades: Option<upgrade::Upgrades>,
    /// Where agents register.
    pub agents: agents::Prepared,
    /// What the kernel passes on by itself.
    pub direct: Arc<Direct>,
    /// Finished spans, and requests that are watched.
    pub traces: Arc<Traces>,
    /// The thread of the contact addresses, if there are any.
    pub contact: Option<ContactParts>,
    /// Whether the process takes traffic.
    pub readiness: Arc<Readiness>,
}

/// The running control plane.
#[derive(Debug)]
pub struct Control {
    runtime: Handle,
    reloads: Reloads,
    readiness: Arc<Readiness>,
    phase: watch_channel::Sender<admin::Phase>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts the thread. The admin interface waits for [`Control::begin`].
    ///
    /// # Errors
    /// The system refuses a thread or an event queue.
    pub fn start<L: Listeners>(setup: Setup<L>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(8)
            .build()?;
        let handle = runtime.handle().clone();
        let readiness = setup.readiness.clone();
        let (reloads, requests) = reload::channel();
        let (stop, stopped) = oneshot::channel();
        let (phase, phases) = watch_channel::channel(admin::Phase::Waits);
        let for_tasks = reloads.clone();
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    let tasks = spawn_all(setup, for_tasks, requests, phases);
                    let _ = stopped.await;
                    tasks.end().await;
                });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            reloads,
            readiness,
            phase,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Asks for reloads.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// How the last reload ended, if there was one.
    pub fn last_reload(&self) -> Option<reload::Outcome> {
        self.reloads.last()
    }

    /// The admin interface answers from now on.
    pub fn begin(&self) {
        self.phase.send_replace(admin::Phase::Serves);
    }

    /// The admin interface takes no more connections: with `handed_over` another process does, on
    /// the same socket.
    pub fn end(&self, handed_over: bool) {
        self.phase.send_replace(admin::Phase::Ends { handed_over });
    }

    /// Whether the process takes traffic.
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// For tasks of the composition root, such as waiting for signals.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.phase.send_if_modified(|phase| {
            let ends = matches!(phase, admin::Phase::Ends { .. });
            *phase = match ends {
                true => *phase,
                false => admin::Phase::Ends { handed_over: false },
            };
            !ends
        });
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is waited for in the end.
struct Tasks {
    admin: Option<tokio::task::JoinHandle<()>>,
    #[cfg(feature = "otlp")]
    export: export::Export,
}

impl Tasks {
    async fn end(self) {
        let answers = async {
            if let Some(admin) = self.admin {
                let _ = tokio::time::timeout(LAST_ANSWERS, admin).await;
            }
        };
        #[cfg(feature = "otlp")]
        tokio::join!(answers, self.export.end());
        #[cfg(not(feature = "otlp"))]
        answers.await;
    }
}

fn spawn_all<L: Listeners>(
    setup: Setup<L>,
    reloads: Reloads,
    requests: reload::Inbox,
    phases: watch_channel::Receiver<admin::Phase>,
) -> Tasks {
    let Setup {
        state,
        source,
        watch,
        listeners,
        common,
        events,
        admin,
        extra,
        upgrades,
        agents,
        direct,
        traces,
        contact,
        readiness,
    } = setup;
    let orders = contact.as_ref().map(|contact| contact.desk.clone());
    let (sources, certificates) = (state.loaded().sources(), state.loaded().certificates());
    let hub = state.hub().clone();
    let (first, journal) = (state.policy().clone(), state.journal().clone());
    if let Some(contact) = &contact {
        tokio::spawn(journal::pass_on(contact.board.clone(), journal.clone()));
    }
    let registrar = Registrar::new(hub.clone(), journal.clone(), state.source());
    for (pool, backends) in state.registered() {
        registrar.inherit(pool, backends);
    }
    registrar.commit(agents);
    tokio::spawn(registrar.clone().run(phases.clone()));
    direct.tell(journal.clone());
    let (reconciler, desk) = Reconciler::new(
        state,
        listeners,
        source.clone(),
        readiness.clone(),
        events,
        (contact, registrar, direct),
    );
    tokio::spawn(reconciler.run());
    let asked = reloads.clone();
    let watched = match watch {
        true => Watched::All(watch::start(&sources, move || {
            asked.ask("a file has changed")
        })),
        false => Watched::Certificates(watch::start(&certificates, move || {
            asked.ask_for_certificates();
        })),
    };
    let told = journal.clone();
    let told_source = source.clone();
    let worker = reload::Worker::new::<L>(
        (source, first.clone()),
        common,
        desk.clone(),
        hub.clone(),
        watched,
        told,
    );
    tokio::spawn(worker.run(requests));
    let (live, history) = (live::Live::default(), history::History::default());
    if admin.is_some() {
        let sources = live::Sources {
            desk: desk.clone(),
            hub: hub.clone(),
            reloads: reloads.clone(),
            first: first.clone(),
        };
        tokio::spawn(live::run(live.clone(), history.clone(), sources));
    }
    #[cfg(feature = "otlp")]
    let export = export::Export::spawn(export::Sources {
        traces: traces.clone(),
        hub: hub.clone(),
        reloads: reloads.clone(),
        first: first.clone(),
    });
    let site = admin::Site::new(admin::Parts {
        desk,
        reloads,
        hub,
        source: told_source,
        live,
        history,
        readiness,
        extra,
        upgrades,
        contact: orders,
        first,
        journal,
        traces,
    });
    Tasks {
        admin: admin.map(|socket| tokio::spawn(admin::serve(socket, site, phases))),
        #[cfg(feature = "otlp")]
        export,
    }
}
