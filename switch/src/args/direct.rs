//! `pointsman direct`

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};

/// `pointsman direct`
#[derive(Debug, Group)]
#[command(after_help = "Examples:\n  \
    pointsman direct clear                          after the switch has ended for good")]
pub struct Direct {
    /// What to do with it.
    #[command(subcommand)]
    pub action: DirectAction,
}

/// `pointsman direct` ...
#[derive(Debug, Subcommand)]
pub enum DirectAction {
    /// Take programs, tables and rules out of the kernel that a switch has left there
    Clear(Clear),
}

/// `pointsman direct clear`
#[derive(Debug, Group)]
#[command(
    after_help = "A switch leaves them where they are when it ends, so that packets go on to its \
    servers: until this command, or the next start without a direct pool.\n\n\
    Exit code 0: nothing is left, or there was nothing; 4: a switch runs that uses them, or they are \
    of another network namespace, and nothing has changed; 5: the kernel refuses.\n\n\
    Examples:\n  \
    pointsman direct clear                          what [process] of the policy names, or else \
    /sys/fs/bpf/pointsman\n  \
    pointsman direct clear --pins /sys/fs/bpf/edge"
)]
pub struct Clear {
    /// The policy that the switch ran with: its process.direct is used [default: as of `run`, if it
    /// is there]
    #[arg(conflicts_with = "pins")]
    pub file: Option<PathBuf>,
    /// The folder in which the kernel keeps them
    #[arg(long, value_name = "PATH")]
    pub pins: Option<PathBuf>,
}
