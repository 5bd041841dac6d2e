//! `pointsman contact`

use clap::{Args as Group, Subcommand};

use super::{Status, Target};

/// `pointsman contact`
#[derive(Debug, Group)]
#[command(after_help = "Examples:\n  \
    pointsman contact status                        who holds which address, who would take over\n  \
    pointsman contact yield --group 51              before work on this machine\n  \
    pointsman contact resume                        after it")]
pub struct Contact {
    /// What to do with them.
    #[command(subcommand)]
    pub action: ContactAction,
}

/// `pointsman contact` ...
#[derive(Debug, Subcommand)]
pub enum ContactAction {
    /// Show who holds the addresses, the other switches, and what happened last
    #[command(after_help = "Exit code 1: this switch has no contact address.")]
    Status(Status),
    /// Give addresses up to another switch, and do not take them back before `resume`
    Yield(Yield),
    /// Stand for addresses again
    Resume(Resume),
}

/// `pointsman contact yield`
#[derive(Debug, Group)]
#[command(
    after_help = "Exit code 0: another switch holds the addresses, or this one held none; 1: this \
    switch has no contact address, or is in no such group; 4: no switch would take over, and \
    nothing has changed.\n\n\
    Examples:\n  \
    pointsman contact yield --group 51 /etc/pointsman/pointsman.toml\n  \
    pointsman contact yield --admin 127.0.0.1:9900 --force"
)]
pub struct Yield {
    /// The addresses of this group alone, 1 to 255 [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    pub group: Option<u8>,
    /// Though no switch would take over: clients are not served then
    #[arg(long)]
    pub force: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman contact resume`
#[derive(Debug, Group)]
#[command(
    after_help = "Exit code 0: this switch stands for the addresses again, and takes them back if \
    it is preferred for them; 1: it has no contact address, or is in no such group."
)]
pub struct Resume {
    /// The addresses of this group alone, 1 to 255 [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    pub group: Option<u8>,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}
