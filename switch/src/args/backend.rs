//! `pointsman backend`

use std::time::Duration;

use clap::{Args as Group, Subcommand};

use super::{Status, Target, duration};

/// `pointsman backend`
#[derive(Debug, Group)]
#[command(
    after_help = "What is done here is laid over the policy: its file stays as it is, and `enable` \
    takes it back. It outlives reloads and upgrades, not the end of the switch.\n\n\
    Examples:\n  \
    pointsman backend list                                          who takes requests, and why not\n  \
    pointsman backend drain app/10.0.0.2:8080 --for 10m --why deploy --wait\n  \
    pointsman backend weight app/10.0.0.3:8080 10 --why canary\n  \
    pointsman backend enable app/10.0.0.2:8080"
)]
pub struct Backend {
    /// What to do with them.
    #[command(subcommand)]
    pub action: BackendAction,
}

/// `pointsman backend` ...
#[derive(Debug, Subcommand)]
pub enum BackendAction {
    /// Show the backends, and what was laid over the policy by hand
    List(Status),
    /// Send a backend no new requests, and let it finish what it has
    Drain(Drain),
    /// Send a backend no new requests, and close its TCP connections and tunnels
    Disable(Disable),
    /// Take back what was laid over a backend: it is as in the policy again
    Enable(Enable),
    /// Give a backend another weight than in the policy
    Weight(Weight),
}

const CODES: &str = "Exit code 0: done; 1: there is no such pool or backend; 4: nobody would be \
                     left to serve the pool's requests, and nothing has changed.";

/// `pointsman backend drain`
#[derive(Debug, Group)]
#[command(after_help = CODES)]
pub struct Drain {
    /// The backend, as POOL/BACKEND
    #[arg(value_parser = backend)]
    pub backend: BackendName,
    /// For how long, why, and whether in any case.
    #[command(flatten)]
    pub terms: Terms,
    /// Wait until nothing is under way there any more
    #[arg(long)]
    pub wait: bool,
    /// Wait no longer than this: exit code 5 when something is still under way then
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "wait")]
    pub timeout: Option<Duration>,
    /// What has become of it, as JSON
    #[arg(long)]
    pub json: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman backend disable`
#[derive(Debug, Group)]
#[command(after_help = CODES)]
pub struct Disable {
    /// The backend, as POOL/BACKEND
    #[arg(value_parser = backend)]
    pub backend: BackendName,
    /// For how long, why, and whether in any case.
    #[command(flatten)]
    pub terms: Terms,
    /// What has become of it, as JSON
    #[arg(long)]
    pub json: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman backend enable`
#[derive(Debug, Group)]
#[command(after_help = "Exit code 0: it is as in the policy; 1: there is no such pool or backend.")]
pub struct Enable {
    /// The backend, as POOL/BACKEND
    #[arg(value_parser = backend)]
    pub backend: BackendName,
    /// Why, for the events
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// What has become of it, as JSON
    #[arg(long)]
    pub json: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// `pointsman backend weight`
#[derive(Debug, Group)]
#[command(after_help = CODES)]
pub struct Weight {
    /// The backend, as POOL/BACKEND
    #[arg(value_parser = backend)]
    pub backend: BackendName,
    /// Its weight, 0 to 1000; with 0 it takes no new requests
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub weight: u32,
    /// For how long, why, and whether in any case.
    #[command(flatten)]
    pub terms: Terms,
    /// What has become of it, as JSON
    #[arg(long)]
    pub json: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}

/// Under which terms.
#[derive(Debug, Group)]
pub struct Terms {
    /// Ends by itself after this long, such as 10m; 31d at most
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// Why, for status and events: 200 characters
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// Though nobody would be left to serve the pool's requests
    #[arg(long)]
    pub force: bool,
}

/// A backend of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendName {
    /// The pool's name.
    pub pool: String,
    /// The backend's name.
    pub backend: String,
}

fn backend(text: &str) -> Result<BackendName, String> {
    match text.split_once('/') {
        Some((pool, backend)) if !pool.is_empty() && !backend.is_empty() => Ok(BackendName {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
        }),
        _ => Err("write POOL/BACKEND, such as app/10.0.0.1:8080".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_named_with_its_pool() {
        let name = |pool: &str, backend: &str| BackendName {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
        };
        let good = [
            ("app/10.0.0.1:80", name("app", "10.0.0.1:80")),
            ("app/unix:/run/x.sock", name("app", "unix:/run/x.sock")),
        ];
        for (text, expected) in good {
            assert_eq!(backend(text), Ok(expected));
        }
        for text in ["app", "app/", "/one", ""] {
            assert!(backend(text).is_err(), "{text}");
        }
    }
}
