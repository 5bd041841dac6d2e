//! Why a session is over.

use std::fmt;
use std::io;

use super::channel::Fault;

/// The end of a session, as this side sees it.
#[derive(Debug)]
pub enum Ended {
    /// The other side has closed it.
    Closed,
    /// Whoever is there has not proved to know the secret.
    Unauthentic,
    /// Something on its way was changed, repeated or left out.
    Forged,
    /// The other side does not keep to the rules: which one.
    Protocol(&'static str),
    /// The other side says more than it may.
    Flood,
    /// Nothing was heard for too long.
    Silent,
    /// The network, or the other side's system, does not answer or refuses.
    Unreachable(io::Error),
}

impl Ended {
    /// The word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Unauthentic => "unauthentic",
            Self::Forged => "forged",
            Self::Protocol(_) => "protocol",
            Self::Flood => "flood",
            Self::Silent => "silent",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Unreachable(error),
        }
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unauthentic => Self::Forged,
            Fault::Spent => Self::Protocol("there were too many messages"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Unauthentic => f.write_str(
                "the handshake has failed: have the agent and `[agents]` of the switch the same \
                 secret, may this host connect there (`from`), and is it the right port?",
            ),
            Self::Forged => f.write_str("something was changed on its way"),
            Self::Protocol(what) => write!(f, "the other side breaks the protocol: {what}"),
            Self::Flood => f.write_str("the other side says too much"),
            Self::Silent => f.write_str("nothing was heard for too long"),
            Self::Unreachable(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Ended {}
