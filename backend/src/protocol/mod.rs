//! What agents and switches say to each other.
//!
//! An agent opens a TCP connection to a switch; both prove by the handshake of [`channel`] that they
//! know the secret of `[agents]`. Then typed [`message`]s go both ways, each sealed and in a
//! [`frame`] of its own. [`talk`] is that without a socket, [`wire`] with one.

mod allowance;
pub mod channel;
pub mod ended;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod message;
pub mod talk;
pub mod wire;

use std::time::Duration;

/// The port that switches listen at, unless their policy says otherwise.
pub const PORT: u16 = 9113;
/// Either side says something at least this often.
pub const KEEPALIVE: Duration = Duration::from_secs(1);
/// Who has been silent for so long has gone.
pub const SILENCE: Duration = Duration::from_secs(5);
/// From the connection to the registration, and to its answer.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);
