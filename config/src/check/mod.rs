//! Checks of what belongs together, once every part is read.

mod agents;
mod contacts;
mod direct;
mod listeners;
mod names;
mod overlap;
mod pools;
mod references;
mod routes;
mod sticky;

pub(crate) use pools::check_twins;

use crate::decode::Decoded;
use crate::diagnostics::Diagnostics;

/// Runs every check and fills in what needs the whole policy: the routes' names, the pools' use.
pub(crate) fn check(decoded: &mut Decoded, d: &mut Diagnostics) {
    names::name_routes(decoded, d);
    references::resolve(decoded, d);
    listeners::check_listeners(decoded, d);
    pools::check_pools(decoded, d);
    direct::check_direct(decoded, d);
    routes::check_routes(decoded, d);
    contacts::check_contacts(decoded, d);
    agents::check_agents(decoded, d);
    sticky::fill_in_keys(decoded);
}
