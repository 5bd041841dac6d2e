//! A running switch: both planes, put together.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy::{BindAddr, Policy};

use super::plane::Slot;
use crate::access_log::AccessLog;
use crate::control::admin;
use crate::control::source::{Refused, Source};
use crate::control::state::State;
use crate::control::{Control, Listeners as _, Setup};
use crate::data::{Plane, Shared};
use crate::event;
use crate::metrics::{Hub, Watched};

/// Label combinations that each metric shows at most.
const MAX_SERIES: usize = 10_000;
/// For the rest of the access log.
const LAST_STEPS: Duration = Duration::from_secs(2);
/// How often is looked whether the workers have ended.
const LOOK: Duration = Duration::from_millis(20);

/// How a switch starts.
#[derive(Debug)]
pub struct Options {
    /// Where policies come from.
    pub source: Source,
    /// Whether changed files are read without being asked.
    pub watch: bool,
    /// What the admin interface answers beyond its own.
    pub extra: Option<admin::Extra>,
}

/// Why a switch did not start.
#[derive(Debug)]
pub enum StartError {
    /// The policy is not right.
    Policy(Refused),
    /// The system refuses something.
    System(String),
}

/// A running switch.
#[derive(Debug)]
pub struct Daemon {
    control: Control,
    plane: Arc<Slot>,
    access_log: Option<AccessLog>,
    hub: Arc<Hub>,
    policy: Arc<Policy>,
    admin: Option<BindAddr>,
}

impl Daemon {
    /// Starts everything: it accepts connections when this returns.
    ///
    /// # Errors
    /// The policy is not right, or the system refuses an address, a file or a thread.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let Options {
            source,
            watch,
            extra,
        } = options;
        let loaded = source.load::<Slot>().map_err(StartError::Policy)?;
        let hub = Hub::new(MAX_SERIES);
        let access_log = open_log(&loaded.policy, &hub)?;
        let state = State::new(loaded, hub.clone());
        let policy = state.policy().clone();
        let (sender, events) = event::channel();
        hub.watch(Watched::EventsDropped, sender.dropped());
        let shared = Shared {
            source: state.source(),
            events: sender,
            metrics: &hub,
            access_log: access_log.as_ref(),
            max_connections: policy.process.max_connections,
            max_buffers: policy.process.max_buffers,
        };
        let plane = Plane::start(workers(&policy), &shared).map_err(system("workers"))?;
        let plane = Arc::new(Slot::new(plane));
        plane.commit(
            plane
                .prepare(state.listeners())
                .map_err(StartError::System)?,
        );
        let admin = open_admin(&policy)?;
        let admin_address = admin.as_ref().and_then(admin::Socket::address);
        let setup = Setup {
            state,
            source,
            watch,
            listeners: plane.clone(),
            events,
            admin,
            extra,
        };
        let control = Control::start(setup).map_err(system("the control thread"))?;
        Ok(Self {
            control,
            plane,
            access_log,
            hub,
            policy,
            admin: admin_address,
        })
    }

    /// The control plane.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The metrics.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        let reloaded = self.control.reloads().in_force();
        reloaded.unwrap_or_else(|| self.policy.clone())
    }

    /// Where clients connect, by listener.
    pub fn addresses(&self) -> Vec<(String, BindAddr)> {
        self.plane.addresses()
    }

    /// Where the admin interface listens.
    pub fn admin(&self) -> Option<&BindAddr> {
        self.admin.as_ref()
    }

    /// Opens the access log's file again under its name, after somebody has moved it away.
    pub fn reopen_log(&self) {
        if let Some(Err(error)) = self.access_log.as_ref().map(AccessLog::reopen) {
            tracing::error!("the access log could not be opened again: {error}");
        }
    }

    /// Whether every worker still runs: without one of them a part of the connections would
    /// wait for ever.
    pub fn is_whole(&self) -> bool {
        self.plane.is_whole()
    }

    /// Takes no new connections and finishes what is under way, within `limit`. Returns at once
    /// when `hurry` says so. The admin interface answers to the end, and says that it drains.
    pub fn stop(self, limit: Duration, hurry: impl Fn() -> bool) {
        let Self {
            control,
            plane,
            access_log,
            ..
        } = self;
        control.readiness().set_draining();
        let drain = std::thread::spawn(move || plane.drain(limit));
        while !drain.is_finished() {
            if hurry() {
                return;
            }
            std::thread::sleep(LOOK);
        }
        if let Ok(cut @ 1..) = drain.join() {
            tracing::warn!("{cut} connections were cut after {limit:?}");
        }
        drop(control);
        if let Some(log) = access_log {
            log.close(LAST_STEPS);
        }
    }
}

fn workers(policy: &Policy) -> usize {
    let workers = policy
        .process
        .workers
        .or_else(|| std::thread::available_parallelism().ok());
    workers.map_or(1, NonZeroUsize::get)
}

fn open_log(policy: &Policy, hub: &Hub) -> Result<Option<AccessLog>, StartError> {
    let Some(settings) = &policy.access_log else {
        return Ok(None);
    };
    let log = AccessLog::open(settings).map_err(system("the access log"))?;
    hub.watch(Watched::AccessLogDropped, log.dropped());
    Ok(Some(log))
}

/// A named address must be had; of the default ones the first that can be.
fn open_admin(policy: &Policy) -> Result<Option<admin::Socket>, StartError> {
    if let Some(address) = &policy.admin.listen {
        let what = format!(
            "admin.listen {}",
            crate::control::status::bind_word(address)
        );
        return admin::Socket::bind(address)
            .map(Some)
            .map_err(system(&what));
    }
    for path in admin::default_paths() {
        match admin::Socket::bind(&BindAddr::Unix(path.clone())) {
            Ok(socket) => return Ok(Some(socket)),
            Err(error) => tracing::debug!("no admin socket at {}: {error}", path.display()),
        }
    }
    tracing::warn!(
        "another switch has the admin socket, or none can be made: there is no admin interface \
         (set admin.listen to have one)"
    );
    Ok(None)
}

fn system(what: &str) -> impl Fn(std::io::Error) -> StartError {
    move |error| StartError::System(format!("{what}: {error}"))
}
