//! Why there can be no lab here.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// What every lab runs.
const ALWAYS: [&str; 3] = ["ip", "bridge", "nsenter"];

/// Why there can be no lab here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// Namespaces are root's to make.
    NotRoot,
    /// A program is not installed.
    NoProgram(String),
    /// The kernel, or whoever confines this process, gives no network namespace.
    NoNamespaces(String),
}

impl Skip {
    /// Tells that a test does not apply here, past the capture of a test's output.
    pub fn tell(&self, test: &str) {
        let _ = writeln!(io::stderr(), "skipped: {test}: {self}");
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => write!(f, "only root can make network namespaces"),
            Self::NoProgram(program) => write!(f, "no {program}"),
            Self::NoNamespaces(why) => write!(f, "no network namespaces: {}", why.trim()),
        }
    }
}

/// Whether a lab with these programs can be.
pub(super) fn check(programs: &[&str]) -> Result<(), Skip> {
    if !rustix::process::geteuid().is_root() {
        return Err(Skip::NotRoot);
    }
    let missing = ALWAYS
        .iter()
        .chain(programs)
        .find(|program| find(program).is_none());
    match missing {
        Some(program) => Err(Skip::NoProgram((*program).to_owned())),
        None => Ok(()),
    }
}

/// Where a program is installed. Daemons stand where only root looks by itself.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
