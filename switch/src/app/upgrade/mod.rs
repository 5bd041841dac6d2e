//! `pointsman upgrade`, and what it sets off: the running process starts the new program, hands it
//! every listening socket and what it knows of the backends, waits until the new one serves, and
//! drains itself. No connection is refused meanwhile: both hold the same sockets, and what waits in
//! their queues waits for whoever accepts next.
//!
//! ```text
//! old                                   new
//!  | start, with one end of a socket pair as standard input
//!  | offer: sockets, admin socket, known health and addresses -->
//!  |                                     | reads its policy, takes over or opens sockets
//!  |                            <-- ready| and accepts nothing yet
//!  | go ------------------------------> | accepts
//!  |                          <-- serving|
//!  | drains, ends
//! ```
//!
//! Whatever goes wrong before `serving`, the old process kills the new one and goes on as if
//! nothing had happened.

mod channel;
mod new;
mod old;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub(super) use new::Predecessor;
pub(super) use old::Program;

use super::{Exit, client, output};
use crate::args;
use crate::control::contact;
use crate::control::upgrade::Known;

/// Set for a process that is to take over, with its end of the socket pair as standard input.
const VARIABLE: &str = "POINTSMAN_TAKES_OVER";

/// What the old process offers. The sockets themselves follow, the admin socket last.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Offer {
    sockets: Vec<OfferedSocket>,
    admin: Option<OfferedSocket>,
    known: Known,
}

/// A socket and what it was opened for.
#[derive(Debug, Serialize, Deserialize)]
struct OfferedSocket {
    listener: String,
    /// In the policy's words.
    bind: String,
    /// The inode of a Unix socket's file.
    file: Option<u64>,
}

/// What the new process answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    /// It can serve, and waits to be told to.
    Ready { version: String },
    /// It cannot.
    Failed(String),
    /// It accepts connections.
    Serving,
}

/// What the old process says to [`Answer::Ready`].
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Go {
    /// The roles for contact addresses, which the new process goes on with.
    contact: contact::Inheritance,
}

pub(super) fn run(args: args::Upgrade) -> Exit {
    let path = match args.binary.as_deref().map(Path::canonicalize) {
        None => "/upgrade".to_owned(),
        Some(Ok(binary)) => format!("/upgrade?binary={}", client::encoded(binary.as_os_str())),
        Some(Err(error)) => {
            let binary = args.binary.unwrap_or_default();
            output::error(&format!("--binary {}: {error}", binary.display()));
            return Exit::Usage;
        }
    };
    let answer = match client::ask(&args.target, "POST", &path) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    let why = answer.body.trim_end();
    match answer.status {
        200 => return output::print(&answer.body),
        500 => output::error(&format!(
            "{why}\nnothing was changed, the process before goes on"
        )),
        _ => output::error(why),
    }
    match answer.status {
        500 => Exit::Invalid,
        401 | 403 | 409 | 429 | 501 => Exit::Refused,
        _ => Exit::Failed,
    }
}
