//! The command line.

mod backend;
mod contact;
mod direct;
mod policy;
mod trace;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Group, Parser, Subcommand};

pub use backend::{Backend, BackendAction, BackendName, Disable, Drain, Enable, Terms, Weight};
pub use contact::{Contact, ContactAction, Resume, Yield};
pub use direct::{Clear, Direct, DirectAction};
pub use policy::{
    Check, Completions, Dialect, Explain, Fmt, Format, Import, Init, Man, Plan, ShellName,
};
pub use trace::Trace;

/// The switch at the front of a server cluster.
#[derive(Debug, Parser)]
#[command(
    name = "pointsman",
    version,
    about = "The switch at the front of a server cluster: one address, many servers",
    after_help = "Begin with:\n  \
        pointsman demo                                      see it work, nothing to install\n  \
        pointsman run --listen :8080 --backend 127.0.0.1:3000 --backend 127.0.0.1:3001\n  \
        pointsman run pointsman.toml                        the real thing",
    arg_required_else_help = true
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What is logged to standard error: error, warn, info, debug, or a filter such as
    /// `info,pointsman::control=debug` [default: POINTSMAN_LOG, or info]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the switch
    Run(Run),
    /// Say whether a policy is right, and everything that is wrong with it
    Check(Check),
    /// Say what a reload would change
    Plan(Plan),
    /// Say which route and backend a request would get, and why
    Explain(Explain),
    /// Send one request through the running switch and show each step that it takes
    Trace(Trace),
    /// Have the running switch read its policy again
    Reload(Reload),
    /// Show what the running switch does
    Status(Status),
    /// Watch the running switch in the terminal, and drain backends there
    #[cfg(feature = "top")]
    Top(Top),
    /// Take single backends out and bring them back, or change their weight, while it runs
    Backend(Backend),
    /// Show what has happened: health, reloads, orders by hand, roles; follow it live
    Events(Events),
    /// Have the running switch hand over to a new process, and lose no connection
    Upgrade(Upgrade),
    /// Show, give up and take back the addresses that switches share
    Contact(Contact),
    /// Take out of the kernel what a switch has left there that answered by direct return
    Direct(Direct),
    /// Try it out: three web servers, a switch in front of them, live
    Demo(Demo),
    /// Lay policies out in one form; comments stay
    Fmt(Fmt),
    /// Write a first policy to begin with
    Init(Init),
    /// Make a policy from a configuration of nginx, HAProxy or Caddy, as far as it goes
    Import(Import),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page, or write one for each command
    Man(Man),
    /// Print the JSON Schema of the policy language
    Schema,
    /// Print the reference of the policy language in Markdown
    Reference,
    /// Take the contact addresses off this host when the switch dies; it starts this by itself
    #[command(hide = true)]
    Guard,
}

/// `pointsman run`
#[derive(Debug, Group)]
#[command(after_help = "Examples:\n  \
    pointsman run                                   reads ./pointsman.toml, or else \
    /etc/pointsman/pointsman.toml\n  \
    pointsman run shop.toml --watch                 reads it again whenever it changes\n  \
    pointsman run --listen :8080 --backend 10.0.0.1:3000 --backend 10.0.0.2:3000\n\n\
    Signals: HUP reads the policy again; TERM and INT finish what is under way and end, the \
    second one ends at once.")]
pub struct Run {
    /// The policy
    pub file: Option<PathBuf>,
    /// Where clients connect, such as :8080 or 127.0.0.1:8080; instead of a file
    #[arg(
        long,
        value_name = "ADDR",
        requires = "backend",
        conflicts_with = "file"
    )]
    pub listen: Option<String>,
    /// A server to forward to, such as 10.0.0.1:3000; give it once for each
    #[arg(
        long,
        value_name = "ADDR",
        requires = "listen",
        conflicts_with = "file"
    )]
    pub backend: Vec<String>,
    /// Read the policy again whenever one of its files changes
    #[arg(long)]
    pub watch: bool,
}

/// Which switch is meant, and by which right.
#[derive(Debug, Group)]
pub struct Target {
    /// Which switch.
    #[command(flatten)]
    pub which: Which,
    /// A file with the admin token, where one is asked for [default: POINTSMAN_TOKEN, or that of
    /// the policy]
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
}

/// Which switch is meant.
#[derive(Debug, Group)]
#[group(multiple = false)]
pub struct Which {
    /// The policy that the switch runs with: its admin.listen is used
    pub file: Option<PathBuf>,
    /// The admin address, such as 127.0.0.1:9900 or unix:/run/pointsman/admin.sock
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
}

/// `pointsman reload`
#[derive(Debug, Group)]
#[command(
    after_help = "With --wait, exit code 0: the new policy is in force; 1: it was refused \
    and nothing has changed."
)]
pub struct Reload {
    /// Wait for the result and print it
    #[arg(long)]
    pub wait: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman status`
#[derive(Debug, Group)]
pub struct Status {
    /// Everything, as JSON
    #[arg(long)]
    pub json: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman top`
#[cfg(feature = "top")]
#[derive(Debug, Group)]
#[command(
    after_help = "Pages: 1 access points, 2 routes, 3 pools, 4 backends; Tab and the arrows turn them.\n\
    Keys: up and down select, / filters by what is typed, s sorts by another column, r the other way \
    round,\np holds what is shown, d drains and e enables the backend that is selected (both ask \
    first), q quits.\n\nRates are over ten seconds. Without a terminal: `pointsman status`."
)]
pub struct Top {
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman events`
#[derive(Debug, Group)]
#[command(after_help = "Examples:\n  \
    pointsman events --since 1h                     what has happened in the last hour\n  \
    pointsman events -f                             and what happens from now on, until Ctrl-C\n  \
    pointsman events -f --json | jq .               one JSON object per line")]
pub struct Events {
    /// Go on with what happens from now on; goes on after an upgrade, too
    #[arg(short, long)]
    pub follow: bool,
    /// One JSON object per line
    #[arg(long)]
    pub json: bool,
    /// No older ones than this, such as 10m [default: all that are kept, 1024 at most]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub since: Option<Duration>,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman upgrade`
#[derive(Debug, Group)]
#[command(
    after_help = "The new process takes over every listening socket and what is known of the \
    backends; the old one\nfinishes what is under way, within process.drain.\n\n\
    Exit code 0: the new process serves; 1: it did not come up, and the old one goes on as before."
)]
pub struct Upgrade {
    /// The program to start [default: the running one's file, which may have been replaced]
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman demo`
#[derive(Debug, Group)]
pub struct Demo {
    /// End by itself after this long, such as 10s
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// Where the switch listens; a free port is taken when this one is not [default: 8080]
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 8080,
        hide_default_value = true
    )]
    pub port: u16,
    /// Send no requests; make them yourself
    #[arg(long)]
    pub quiet: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    pointsman_config::value::parse_duration(text).map_err(|unfit| unfit.message)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_file_and_backends_exclude_each_other() {
        let both = [
            "pointsman",
            "run",
            "a.toml",
            "--listen",
            ":80",
            "--backend",
            "127.0.0.1:1",
        ];
        assert!(Args::try_parse_from(both).is_err());
        assert!(Args::try_parse_from(["pointsman", "run", "--listen", ":80"]).is_err());
        assert!(Args::try_parse_from(["pointsman", "run"]).is_ok());
    }

    #[test]
    fn a_group_is_a_number_from_1_to_255() {
        for (group, right) in [("1", true), ("255", true), ("0", false), ("256", false)] {
            for action in ["yield", "resume"] {
                let words = ["pointsman", "contact", action, "--group", group];
                assert_eq!(Args::try_parse_from(words).is_ok(), right, "{words:?}");
            }
        }
        let resume = ["pointsman", "contact", "resume", "--force"];
        assert!(Args::try_parse_from(resume).is_err());
    }
}
