//! Commands that deal with a policy: `check`, `plan`, `explain`, `fmt`, `init`; and with this program's
//! own pages.

use std::path::PathBuf;

use clap::{Args as Group, ValueEnum};

use super::Target;

/// `pointsman check`
#[derive(Debug, Group)]
#[command(
    after_help = "Exit code 0: the policy is right (there may be warnings); 1: it is not.\n\n\
    Examples:\n  \
    pointsman check pointsman.toml\n  \
    pointsman check --format github pointsman.toml  annotations for a workflow"
)]
pub struct Check {
    /// The policy [default: ./pointsman.toml, or /etc/pointsman/pointsman.toml]
    pub file: Option<PathBuf>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// An array of problems
    Json,
    /// Workflow annotations
    Github,
}

/// `pointsman plan`
#[derive(Debug, Group)]
#[command(
    after_help = "Changes nothing. Exit code 0: the new policy is right, whether it changes \
    anything or not; 1: it is wrong, and the report says where.\n\n\
    Examples:\n  \
    pointsman plan new.toml                         against the running switch\n  \
    pointsman plan new.toml --against pointsman.toml    against a file, without a switch"
)]
pub struct Plan {
    /// The new policy
    pub new: PathBuf,
    /// Compare with this policy rather than with that of a running switch
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "file"])]
    pub against: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman explain`
#[derive(Debug, Group)]
#[command(
    after_help = "Changes nothing and sends nothing. Exit code 0: it is told, whatever would \
    become of the request; 1: the question makes no sense.\n\n\
    Examples:\n  \
    pointsman explain GET https://shop.example.com/v1/x -H \"Cookie: beta=on\"\n  \
    pointsman explain POST http://shop.example.com/ --client 10.0.0.7 --json\n  \
    pointsman explain GET http://192.0.2.10/ --client 198.51.100.7:40000    direct return\n  \
    pointsman explain GET http://localhost:8080/ --policy new.toml      without a switch"
)]
pub struct Explain {
    /// The request's method
    pub method: String,
    /// Its URL, with scheme and host
    pub url: String,
    /// A header field, such as "X-User: 7"; give it once for each
    #[arg(short = 'H', long, value_name = "FIELD")]
    pub header: Vec<String>,
    /// Whom it is from [default: this machine]; what a direct pool does depends on the port, too
    #[arg(long, value_name = "IP[:PORT]", value_parser = client)]
    pub client: Option<String>,
    /// The listener that it comes over [default: the one that the URL leads to]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Ask this policy rather than a running switch: nothing is known of its backends then
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "file"])]
    pub policy: Option<PathBuf>,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

fn client(text: &str) -> Result<String, String> {
    let fits =
        text.parse::<std::net::IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok();
    match fits {
        true => Ok(text.to_owned()),
        false => Err("write an address such as 10.0.0.7 or 10.0.0.7:40000".to_owned()),
    }
}

/// `pointsman fmt`
#[derive(Debug, Group)]
#[command(
    after_help = "Comments stay, and what the policy means does not change: that is looked at \
    before a file is replaced.\n\n\
    Exit code 0: all of them are laid out; 1: one is not (with --check or --diff), or is not TOML.\n\n\
    Examples:\n  \
    pointsman fmt pointsman.toml conf.d/*.toml\n  \
    pointsman fmt --check                           for a workflow\n  \
    pointsman fmt - < draft.toml                    from standard input to standard output"
)]
pub struct Fmt {
    /// The files; `-` is standard input [default: ./pointsman.toml, or
    /// /etc/pointsman/pointsman.toml]
    pub files: Vec<PathBuf>,
    /// Change nothing, and name the files that are not laid out
    #[arg(long)]
    pub check: bool,
    /// Change nothing, and show what would change
    #[arg(long)]
    pub diff: bool,
}

/// `pointsman init`
#[derive(Debug, Group)]
#[command(after_help = "Exit code 4: the file is there already, and stays as it is.")]
pub struct Init {
    /// The file
    #[arg(default_value = "pointsman.toml")]
    pub file: PathBuf,
}

/// `pointsman import`
#[derive(Debug, Group)]
#[command(
    after_help = "The policy goes to standard output. What could not be carried over stands in it as a \
    comment with file and line.\n\n\
    Exit code 0: the policy passes `pointsman check`; 1: it does not yet, and why.\n\n\
    Examples:\n  \
    pointsman import nginx /etc/nginx/nginx.conf > pointsman.toml\n  \
    pointsman import haproxy /etc/haproxy/haproxy.cfg\n  \
    pointsman import caddy - < Caddyfile            from standard input"
)]
pub struct Import {
    /// Whose configuration it is
    #[arg(value_enum)]
    pub dialect: Dialect,
    /// The file; `-` is standard input
    pub file: PathBuf,
}

/// Whose configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// nginx: a whole configuration or one of its sites
    Nginx,
    /// HAProxy
    Haproxy,
    /// A Caddyfile
    Caddy,
}

impl Dialect {
    /// As it is written on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
        }
    }
}

/// `pointsman completions`
#[derive(Debug, Group)]
#[command(after_help = "Examples:\n  \
    pointsman completions bash > /usr/share/bash-completion/completions/pointsman\n  \
    pointsman completions zsh > /usr/share/zsh/site-functions/_pointsman\n  \
    pointsman completions fish > ~/.config/fish/completions/pointsman.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: ShellName,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// `pointsman man`
#[derive(Debug, Group)]
#[command(after_help = "Examples:\n  \
    pointsman man | man -l -                        the page of the program\n  \
    pointsman man --dir /usr/share/man/man1         one page for each command")]
pub struct Man {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
}
