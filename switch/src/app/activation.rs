//! Sockets that the service manager has opened: a restart then refuses nobody, since connections
//! wait in them meanwhile (systemd.socket(5)).

use super::daemon::Inheritance;
use crate::data::Inherited;
use crate::sys::activation;

/// Takes over what the service manager has passed. To be called before anything else opens
/// descriptors.
pub(super) fn sockets() -> Inheritance {
    let mut sockets = Vec::new();
    for (descriptor, name) in activation::take() {
        match Inherited::activated(descriptor.into()) {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                tracing::warn!("the socket {name:?} of the service manager is left alone: {error}");
            }
        }
    }
    Inheritance {
        sockets,
        ..Inheritance::default()
    }
}
