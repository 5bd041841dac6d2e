//! What the switches of a contact group share, so that a takeover changes nothing for clients.
//! The data plane uses it, the control plane exchanges it with the other switches.

pub mod quotas;
pub mod tickets;

use std::sync::Arc;

use quotas::Quotas;
use tickets::TicketKeys;

/// All of it: one for the whole process.
#[derive(Debug, Clone)]
pub struct InCommon {
    /// Keys of TLS session tickets.
    pub tickets: Arc<TicketKeys>,
    /// How far clients have used up their rates.
    pub quotas: Arc<Quotas>,
}

impl InCommon {
    /// As it is before anything was said or heard.
    pub fn new() -> Self {
        Self {
            tickets: TicketKeys::new(),
            quotas: Arc::default(),
        }
    }
}

impl Default for InCommon {
    fn default() -> Self {
        Self::new()
    }
}
