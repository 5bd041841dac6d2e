//! What the switches of a contact group share, so that a takeover changes nothing for clients.
//! The data plane uses it, the control plane exchanges it with the other switches.
