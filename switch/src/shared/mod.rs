//! What the switches of a contact group share, so that a takeover changes nothing for clients.
//! The data plane uses it, the control plane exchanges it with the other switches.

pub mod tickets;

use std::sync::Arc;

use tickets::TicketKeys;

/// All of it: one for the whole process.
#[derive(Debug, Clone)]
pub struct InCommon {
    /// Keys of TLS session tickets.
    pub tickets: Arc<TicketKeys>,
}

impl InCommon {
    /// As it is before anything was said or heard.
    pub fn new() -> Self {
        Self {
            tickets: TicketKeys::new(),
        }
    }
}

impl Default for InCommon {
    fn default() -> Self {
        Self::new()
    }
}
