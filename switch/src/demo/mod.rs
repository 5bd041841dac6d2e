//! `pointsman demo`: three web servers, a switch in front of them, and somebody who asks for
//! pages. All in one process; everything else is as in `pointsman run`.

mod backends;
mod keys;
mod load;
mod policy;
mod view;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::backends::Backends;
use self::keys::Keys;
use self::load::Load;
use self::policy::PolicyFile;
use self::view::{Screen, View};
use crate::app::daemon::{Daemon, Inheritance, Options, StartError, Stop};
use crate::app::run::{self, Signals, Told};
use crate::app::{Exit, output, panics};
use crate::args;
use crate::control::admin::Extra;
use crate::control::source::Source;

/// Between two looks at keys, signals and counters.
const TICK: Duration = Duration::from_millis(100);
/// What is under way at the end may take that long.
const DRAIN: Duration = Duration::from_secs(2);

/// Preferred for the admin interface.
const ADMIN_PORT: u16 = 9900;
/// With other ports each.
const ATTEMPTS: u32 = 5;

/// What is logged unless the command line says otherwise: on a terminal the log would tear the
/// picture apart.
pub fn log_level() -> &'static str {
    if std::io::stdout().is_terminal() {
        "off"
    } else {
        "error"
    }
}

/// Runs the demo to its end.
pub fn run(args: args::Demo) -> Exit {
    panics::end_the_process();
    run::raise_file_limit();
    match Demo::start(&args) {
        Ok(demo) => demo.play(args.time),
        Err(exit) => exit,
    }
}

struct Demo {
    backends: Arc<Backends>,
    file: PolicyFile,
    daemon: Daemon,
    signals: Signals,
    load: Load,
}

impl Demo {
    fn start(args: &args::Demo) -> Result<Self, Exit> {
        let backends = Arc::new(Backends::start().map_err(failed("the web servers"))?);
        let (file, daemon) = start_switch(&backends, args.port)?;
        let signals = Signals::of(&daemon).map_err(failed("signals"))?;
        let load = Load::start(file.front()).map_err(failed("the requests"))?;
        load.set_running(!args.quiet);
        Ok(Self {
            backends,
            file,
            daemon,
            signals,
            load,
        })
    }

    fn play(self, time: Option<Duration>) -> Exit {
        let started = Instant::now();
        let keys = Keys::open();
        let screen = Screen::open();
        let mut view = View::new(screen, &self.file, keys.is_some());
        let exit = loop {
            match self.signals.wait(TICK) {
                Some(Told::End) => break Exit::Ok,
                Some(Told::Reload) => self.daemon.control().reloads().ask("SIGHUP"),
                Some(Told::Upgrade(_)) | None => {}
            }
            if !self.daemon.is_whole() {
                break Exit::Failed;
            }
            if keys.as_ref().is_some_and(|keys| self.obey(keys)) {
                break Exit::Ok;
            }
            if time.is_some_and(|time| started.elapsed() >= time) {
                break Exit::Ok;
            }
            view.show(&self.daemon, &self.load);
        };
        // The terminal is to be as it was before the summary is printed.
        drop((view, keys));
        self.end(exit)
    }

    /// Does what the pressed keys say; whether one of them ends the demo.
    fn obey(&self, keys: &Keys) -> bool {
        for key in keys.pressed() {
            match key {
                b'q' | b'Q' => return true,
                b'l' | b'L' => self.load.set_running(!self.load.is_running()),
                b'1'..=b'9' => drop(self.backends.toggle(usize::from(key - b'1'))),
                _ => {}
            }
        }
        false
    }

    fn end(self, exit: Exit) -> Exit {
        let counts = self.load.stop();
        self.daemon.stop(Stop::Drain(DRAIN), || self.signals.end());
        let written = output::print(&format!(
            "{} requests, {} failed",
            counts.requests, counts.failed
        ));
        if let Some(why) = &counts.last_failure {
            output::message(&format!("the last one failed so: {why}"));
        }
        match (exit, counts.failed) {
            (Exit::Ok, 0) => written,
            _ => Exit::Failed,
        }
    }
}

/// Another process may take a port between the moment it was found free and the moment it is
/// used: then other ports are tried.
fn start_switch(backends: &Arc<Backends>, port: u16) -> Result<(PolicyFile, Daemon), Exit> {
    let mut ports = (port, ADMIN_PORT);
    for attempt in 1.. {
        let file = PolicyFile::write(backends, ports).map_err(failed("the policy file"))?;
        let steered = backends.clone();
        let extra = Extra(Arc::new(move |path: &str| {
            let number = path.strip_prefix("/demo/kill/")?.parse::<usize>().ok()?;
            steered.toggle(number.checked_sub(1)?)
        }));
        let source = Source::File(file.path().to_owned());
        match Daemon::start(Options {
            source,
            watch: true,
            extra: Some(extra),
            upgrades: None,
            inheritance: Inheritance::default(),
        }) {
            Ok(daemon) => return Ok((file, daemon)),
            Err(StartError::System(_)) if attempt < ATTEMPTS => ports = (0, 0),
            Err(error) => return Err(run::tell(&error)),
        }
    }
    Err(Exit::Failed)
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Exit {
    move |error| {
        output::error(&format!("{what}: {error}"));
        Exit::Failed
    }
}
