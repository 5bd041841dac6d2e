//! The composition root: the one place that knows both planes. One file per command.

mod activation;
mod backend;
mod check;
mod client;
mod contact;
pub mod daemon;
mod direct;
mod events;
mod explain;
mod format;
mod guard;
mod import;
mod init;
mod logging;
pub mod output;
mod pages;
pub(crate) mod panics;
mod plan;
mod plane;
mod reload;
pub(crate) mod run;
mod status;
#[cfg(feature = "top")]
mod top;
mod trace;
mod traffic;
mod upgrade;
mod watchdog;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::args::{Args, Command};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As asked.
    Ok = 0,
    /// The policy or the request is not right.
    Invalid = 1,
    /// The command line is not right.
    Usage = 2,
    /// No running switch answers.
    Unreachable = 3,
    /// It would be unsafe.
    Refused = 4,
    /// It failed at run time.
    Failed = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what the command line says.
pub fn main(args: Args) -> Exit {
    match args.command {
        Command::Run(run) => {
            if let Err(error) = logging::start(args.log.as_deref(), "info") {
                output::error(&error);
                return Exit::Usage;
            }
            run::run(run)
        }
        Command::Demo(demo) => {
            if let Err(error) = logging::start(args.log.as_deref(), crate::demo::log_level()) {
                output::error(&error);
                return Exit::Usage;
            }
            crate::demo::run(demo)
        }
        Command::Check(check) => check::run(check),
        Command::Plan(plan) => plan::run(&plan),
        Command::Explain(explain) => explain::run(&explain),
        Command::Trace(trace) => trace::run(&trace),
        #[cfg(feature = "top")]
        Command::Top(top) => top::run(&top),
        Command::Reload(reload) => reload::run(reload),
        Command::Status(status) => status::run(status),
        Command::Backend(backend) => backend::run(backend.action),
        Command::Events(events) => events::run(&events),
        Command::Contact(contact) => contact::run(contact.action),
        Command::Direct(direct) => direct::run(direct.action),
        Command::Upgrade(upgrade) => upgrade::run(upgrade),
        Command::Fmt(fmt) => format::run(&fmt),
        Command::Init(init) => init::run(&init),
        Command::Import(import) => import::run(&import),
        Command::Completions(completions) => pages::completions(&completions),
        Command::Man(man) => pages::man(&man),
        Command::Schema => output::print(&pointsman_config::schema::json()),
        Command::Reference => output::print(&pointsman_config::reference::markdown()),
        Command::Guard => guard::run(),
    }
}

/// Where a policy is looked for when none is named.
const DEFAULT_FILES: [&str; 2] = ["pointsman.toml", "/etc/pointsman/pointsman.toml"];

/// The named file, or the first default one that is there.
fn policy_file(named: Option<PathBuf>) -> Option<PathBuf> {
    let default = || {
        DEFAULT_FILES
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
    };
    named.or_else(|| default().map(Path::to_owned))
}

const NO_FILE: &str = "there is no ./pointsman.toml and no /etc/pointsman/pointsman.toml: name a \
                       policy file, or see `pointsman help run`";
