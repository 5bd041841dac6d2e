//! The word for an endpoint's whole state, for status and metrics.

use super::Health;

/// What an endpoint is, all told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Not checked yet.
    Starting = 0,
    /// Takes requests.
    Up = 1,
    /// Takes none: its checks fail, or it refuses connections.
    Down = 2,
    /// Its name has no address.
    Unresolved = 3,
    /// Takes none: what clients got from it failed.
    Ejected = 4,
    /// Takes a part of its share, which grows.
    SlowStart = 5,
}

impl State {
    /// Every state.
    pub const ALL: [State; 6] = [
        State::Starting,
        State::Up,
        State::Down,
        State::Unresolved,
        State::Ejected,
        State::SlowStart,
    ];

    /// Health, and what comes on top of it: what checks say goes first.
    pub fn of(health: Health, ejected: bool, slow: bool) -> Self {
        match health {
            Health::Down => State::Down,
            Health::Unresolved => State::Unresolved,
            _ if ejected => State::Ejected,
            Health::Starting => State::Starting,
            Health::Up if slow => State::SlowStart,
            Health::Up => State::Up,
        }
    }

    /// Whether it takes requests in the ordinary way.
    pub fn serves(self) -> bool {
        matches!(self, State::Up | State::SlowStart)
    }

    /// The word in metrics and status.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Up => "up",
            State::Down => "down",
            State::Unresolved => "unresolved",
            State::Ejected => "ejected",
            State::SlowStart => "slow-start",
        }
    }
}
