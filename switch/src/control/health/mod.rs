//! Active and passive health: what is known of an endpoint, and when it is asked again.
//!
//! The machines ([`Active`], [`Passive`]) do no I/O: time and results go in, actions come out.
//! [`checker::Checker`] drives one machine per endpoint; [`probe`] asks the endpoint. What clients
//! get from endpoints is [`eject`]'s, what one gets that has come up is [`ramp`]'s.

mod active;
pub mod checker;
pub mod eject;
mod passive;
pub mod probe;
pub mod ramp;
#[cfg(test)]
mod simulation;

use std::time::Instant;

use smallvec::SmallVec;

pub use active::{Active, Rhythm};
pub use passive::Passive;
pub use probe::Via;

use crate::endpoint::Health;

/// What comes into a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The deadline is reached.
    Due,
    /// The probe under way passed.
    Passed,
    /// The probe under way failed.
    Failed,
    /// The data plane could not connect.
    Trouble,
}

/// What a machine asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin a probe. Never while another one is under way.
    Probe,
    /// Give up the probe under way: it took too long, and was counted as failed.
    Abandon,
    /// The health changed.
    Became {
        /// What it was.
        from: Health,
        /// What it is.
        to: Health,
    },
}

/// What a machine asks for at one time.
pub type Actions = SmallVec<[Action; 2]>;

/// The machine of one endpoint.
#[derive(Debug)]
pub enum Machine {
    /// Its pool has `health`.
    Active(Active),
    /// Its pool has none.
    Passive(Passive),
}

impl Machine {
    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) -> Actions {
        match self {
            Self::Active(machine) => machine.handle(now, input),
            Self::Passive(machine) => machine.handle(now, input),
        }
    }

    /// When [`Input::Due`] is to be given next; `None`: only after another input.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Active(machine) => Some(machine.deadline()),
            Self::Passive(machine) => machine.deadline(),
        }
    }

    /// What is known of the endpoint.
    pub fn health(&self) -> Health {
        match self {
            Self::Active(machine) => machine.health(),
            Self::Passive(machine) => machine.health(),
        }
    }
}
