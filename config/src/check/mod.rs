//! Checks of what belongs together, once every part is read.

mod names;

use crate::decode::Decoded;
use crate::diagnostics::Diagnostics;

/// Runs every check and fills in what needs the whole policy: route names, pools' use.
pub(crate) fn check(decoded: &mut Decoded, d: &mut Diagnostics) {
    names::name_routes(decoded, d);
}
