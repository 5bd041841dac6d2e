//! Why a session is over.

use std::fmt;
use std::io;
use std::time::Duration;

use super::secure::Fault;

/// The end of a session, as this side sees it.
#[derive(Debug)]
pub enum Ended {
    /// The peer's system has closed it, and the peer had not said so: its process has died.
    Closed,
    /// The peer has ended it in order.
    Bye {
        /// For so long a successor may be on its way, a minute at most; zero: none is.
        successor: Duration,
    },
    /// Whoever is there has not proved to know the group's secret, or somebody has changed what
    /// was on its way.
    Unauthentic,
    /// The peer does not keep to the rules: which one.
    Protocol(&'static str),
    /// The peer does not take what is sent to it.
    Stuck,
    /// The network, or the peer's system, does not answer or refuses.
    Unreachable(io::Error),
}

impl Ended {
    /// For metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Bye { .. } => "bye",
            Self::Unauthentic => "unauthentic",
            Self::Protocol(_) => "protocol",
            Self::Stuck => "stuck",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// Of what read(2), write(2) or connect(2) said.
    pub(super) fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Unreachable(error),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it was closed without a farewell"),
            Self::Bye { successor } if successor.is_zero() => f.write_str("the peer has left"),
            Self::Bye { successor } => {
                write!(
                    f,
                    "the peer has left, a successor may come within {successor:?}"
                )
            }
            Self::Unauthentic => f.write_str(
                "the handshake has failed: do both switches name each other, and the same secret?",
            ),
            Self::Protocol(what) => write!(f, "the peer does not keep to the protocol: {what}"),
            Self::Stuck => f.write_str("the peer takes nothing any more"),
            Self::Unreachable(error) => write!(f, "the peer cannot be reached: {error}"),
        }
    }
}

impl std::error::Error for Ended {}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unauthentic => Self::Unauthentic,
            Fault::Spent => Self::Protocol("there were too many messages"),
        }
    }
}
