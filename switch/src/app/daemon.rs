//! A running switch: both planes, put together.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy::{BindAddr, Policy};

use super::plane::Slot;
use super::traffic::OwnTraffic;
use crate::access_log::AccessLog;
use crate::control::admin;
use crate::control::agents;
use crate::control::contact::plan::Plan;
use crate::control::contact::{self, Contacts};
use crate::control::direct::Direct;
use crate::control::readiness::Readiness;
use crate::control::source::{Refused, Source};
use crate::control::state::State;
use crate::control::upgrade::{Known, Upgrades};
use crate::control::{Control, Listeners as _, Setup};
use crate::data::{Drain, Inherited, Origin, Plane, Shared};
use crate::event;
use crate::metrics::{Hub, Watched};
use crate::pulse::Pulses;
use crate::shared::InCommon;
use crate::trace::Traces;

/// Label combinations that each metric shows at most.
const MAX_SERIES: usize = 10_000;
/// For the rest of the access log.
const LAST_STEPS: Duration = Duration::from_secs(2);
/// For connections that are idle when the switch ends.
const GRACE: Duration = Duration::from_secs(1);
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
    /// Who is asked for upgrades, if they are possible.
    pub upgrades: Option<Upgrades>,
    /// What another process has left to this one.
    pub inheritance: Inheritance,
}

/// What another process, or the service manager, has left to this one.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// Listening sockets.
    pub sockets: Vec<Inherited>,
    /// The admin interface's socket, where it is known to be that.
    pub admin: Option<Inherited>,
    /// What is known of the backends.
    pub known: Known,
    /// Whether a process serves until this one begins.
    pub is_succession: bool,
}

/// How a switch ends, and the time that it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// For good.
    Drain(Duration),
    /// Another process serves on the same sockets: clients need not hurry.
    HandOver(Duration),
}

/// Why a switch did not start.
#[derive(Debug)]
pub enum StartError {
    /// The policy is not right.
    Policy(Refused),
    /// The system refuses something.
    System(String),
}

impl StartError {
    /// In words for the operator.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Policy(refused) => refused.render(color),
            Self::System(message) => message.clone(),
        }
    }
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
    admin_copy: Option<Inherited>,
    contacts: Option<Arc<Contacts>>,
    direct: Arc<Direct>,
}

impl Daemon {
    /// Starts everything: it accepts connections when this returns.
    ///
    /// # Errors
    /// The policy is not right, or the system refuses an address, a file or a thread.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let daemon = Self::prepare(options)?;
        daemon.begin(contact::Inheritance::default());
        Ok(daemon)
    }

    /// Starts everything, and accepts no connections before [`Daemon::begin`].
    ///
    /// # Errors
    /// The policy is not right, or the system refuses an address, a file or a thread.
    pub fn prepare(options: Options) -> Result<Self, StartError> {
        let Options {
            source,
            watch,
            extra,
            upgrades,
            mut inheritance,
        } = options;
        let common = InCommon::new();
        let mut loaded = source.load::<Slot>(&common).map_err(StartError::Policy)?;
        let hub = Hub::new(MAX_SERIES);
        let settings = loaded.policy.process.direct.clone();
        let direct = Direct::new(settings, hub.clone(), inheritance.is_succession);
        let fallbacks = direct.settle(&mut loaded).map_err(StartError::Policy)?;
        let access_log = open_log(&loaded.policy, &hub)?;
        let mut state = State::new(loaded, hub.clone());
        state.inherit(std::mem::take(&mut inheritance.known));
        let journal = state.journal();
        fallbacks.into_iter().for_each(|event| journal.tell(event));
        let policy = state.policy().clone();
        let (sender, events) = event::channel();
        hub.watch(Watched::EventsDropped, sender.dropped());
        let traces = Arc::<Traces>::default();
        let shared = Shared {
            source: state.source(),
            events: sender,
            metrics: &hub,
            access_log: access_log.as_ref(),
            traces: traces.clone(),
            quotas: common.quotas.clone(),
            max_connections: policy.process.max_connections,
            max_buffers: policy.process.max_buffers,
        };
        let plane = Plane::start(workers(&policy), &shared).map_err(system("workers"))?;
        let (admin, admin_copy) = open_admin(&policy, &mut inheritance)?;
        let admin_address = admin.as_ref().and_then(admin::Socket::address);
        plane.inherit(inheritance.sockets);
        let plane = Arc::new(Slot::new(plane));
        plane.commit(
            plane
                .prepare(state.listeners())
                .map_err(StartError::System)?,
        );
        let readiness = Arc::new(Readiness::new());
        let traffic = OwnTraffic::new(plane.clone(), readiness.clone(), common.clone());
        let agents = agents::prepare(&policy, None).map_err(StartError::System)?;
        let contacts = open_contacts(&policy, traffic, (&hub, &direct), inheritance.is_succession)?;
        let setup = Setup {
            state,
            source,
            watch,
            listeners: plane.clone(),
            common,
            events,
            admin,
            extra,
            upgrades,
            agents,
            direct: direct.clone(),
            traces,
            contact: contacts.as_ref().map(|contacts| contacts.parts().clone()),
            readiness,
        };
        let control = Control::start(setup).map_err(system("the control thread"))?;
        Ok(Self {
            control,
            plane,
            access_log,
            hub,
            policy,
            admin: admin_address,
            admin_copy,
            contacts,
            direct,
        })
    }

    /// Accepts connections from now on, and goes on with the roles that another process had for the
    /// contact addresses.
    pub fn begin(&self, contact: contact::Inheritance) {
        self.plane.with(Plane::begin);
        self.control.begin();
        self.keep_contacts(contact);
    }

    /// Takes part in the contact groups from now on, or again.
    pub fn keep_contacts(&self, inheritance: contact::Inheritance) {
        if let Some(contacts) = &self.contacts {
            contacts.begin(inheritance);
        }
    }

    /// Lets another process go on with the roles for the contact addresses.
    pub fn bequeath_contacts(&self) -> contact::Inheritance {
        let contacts = self.contacts.as_ref();
        contacts
            .map(|contacts| contacts.bequeath())
            .unwrap_or_default()
    }

    /// Where inherited sockets listen that this policy has no use for.
    pub fn unclaimed(&self) -> Vec<String> {
        self.plane.with(Plane::unclaimed).unwrap_or_default()
    }

    /// Closes inherited sockets that this policy has no use for.
    pub fn close_unclaimed(&self) {
        self.plane.with(Plane::close_unclaimed);
    }

    /// Copies of all listening sockets and of the admin interface's, for another process.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn lend(&self) -> std::io::Result<(Vec<Inherited>, Option<Inherited>)> {
        let sockets = self.plane.with(Plane::lend).transpose()?;
        let copy = |one: &Inherited| {
            std::io::Result::Ok(Inherited {
                origin: one.origin.clone(),
                socket: one.socket.try_clone()?,
            })
        };
        let admin = self.admin_copy.as_ref().map(copy).transpose()?;
        Ok((sockets.unwrap_or_default(), admin))
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

    /// Whether the workers turn.
    pub fn pulses(&self) -> Arc<Pulses> {
        self.plane.pulses()
    }

    /// Takes no new connections and finishes what is under way. Returns at once when `hurry` says
    /// so. The admin interface answers to the end, and says that it drains, unless another process
    /// has taken it over.
    pub fn stop(self, how: Stop, hurry: impl Fn() -> bool) {
        let Self {
            control,
            plane,
            access_log,
            contacts,
            direct,
            ..
        } = self;
        let how = how.drain();
        if let Some(contacts) = contacts.as_ref().filter(|_| !how.handed_over) {
            contacts.leave();
        }
        control.readiness().set_draining();
        if how.handed_over {
            control.end(true);
        }
        let drain = std::thread::spawn(move || plane.drain(how));
        while !drain.is_finished() {
            if hurry() {
                return;
            }
            std::thread::sleep(LOOK);
        }
        if let Ok(cut @ 1..) = drain.join() {
            tracing::warn!("{cut} connections were cut after {:?}", how.limit);
        }
        drop(control);
        direct.end(how.handed_over);
        if let Some(contacts) = contacts {
            contacts.end();
        }
        if let Some(log) = access_log {
            log.close(LAST_STEPS);
        }
    }
}

impl Stop {
    /// Idle connections get a grace in which a request is still answered. When nobody else serves,
    /// it delays the next start; so it is short, and still longer than requests of a busy client
    /// are apart. After an upgrade nothing waits for this process.
    fn drain(self) -> Drain {
        let (limit, grace, handed_over) = match self {
            Self::Drain(limit) => (limit, GRACE.min(limit / 4), false),
            Self::HandOver(limit) => (limit, limit / 2, true),
        };
        Drain {
            limit,
            grace,
            handed_over,
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

fn open_contacts(
    policy: &Policy,
    traffic: OwnTraffic,
    (hub, direct): (&Arc<Hub>, &Direct),
    succeeds: bool,
) -> Result<Option<Arc<Contacts>>, StartError> {
    let plan = Plan::of(policy);
    if plan.is_empty() {
        return Ok(None);
    }
    let setup = contact::Setup {
        plan,
        traffic: Arc::new(traffic),
        mirror: direct.mirror().clone(),
        hub: hub.clone(),
        succeeds,
    };
    let contacts = Contacts::start(setup).map_err(StartError::System)?;
    Ok(Some(Arc::new(contacts)))
}

/// The admin interface's socket and a copy of it. A named address must be had; of the default ones
/// the first that can be.
fn open_admin(
    policy: &Policy,
    inheritance: &mut Inheritance,
) -> Result<(Option<admin::Socket>, Option<Inherited>), StartError> {
    // As any other socket: when it is not wanted, it is closed like them.
    inheritance.sockets.extend(inheritance.admin.take());
    if let Some(address) = &policy.admin.listen {
        let what = format!(
            "admin.listen {}",
            crate::control::status::bind_word(address)
        );
        let opened = open_admin_at(address, inheritance).map_err(system(&what))?;
        return Ok((Some(opened.0), Some(opened.1)));
    }
    for path in admin::default_paths() {
        match open_admin_at(&BindAddr::Unix(path.clone()), inheritance) {
            Ok((socket, copy)) => return Ok((Some(socket), Some(copy))),
            Err(error) => tracing::debug!("no admin socket at {}: {error}", path.display()),
        }
    }
    tracing::warn!(
        "another switch has the admin socket, or none can be made: there is no admin interface \
         (set admin.listen to have one)"
    );
    Ok((None, None))
}

fn open_admin_at(
    address: &BindAddr,
    inheritance: &mut Inheritance,
) -> std::io::Result<(admin::Socket, Inherited)> {
    let sockets = &mut inheritance.sockets;
    let socket = match sockets.iter().position(|one| one.fits("", address)) {
        Some(place) => {
            let Inherited { origin, socket } = sockets.swap_remove(place);
            admin::Socket::adopt(
                address,
                socket.into(),
                origin.and_then(|origin| origin.file),
            )
        }
        None => admin::Socket::bind(address)?,
    };
    let (copy, file) = socket.lend()?;
    let origin = Origin {
        // The name of no listener.
        listener: String::new(),
        bind: address.clone(),
        file,
    };
    let copy = Inherited {
        origin: Some(origin),
        socket: copy.into(),
    };
    Ok((socket, copy))
}

fn system(what: &str) -> impl Fn(std::io::Error) -> StartError {
    move |error| StartError::System(format!("{what}: {error}"))
}
