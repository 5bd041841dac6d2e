//! Whether direct return would be possible here, without doing anything for it.

use std::path::Path;

use super::kernel;
use crate::control::bpf::{self, BPF, NET_ADMIN, PERFMON};

/// What stands in the way of direct return for a process like this one, on this machine, each with the
/// remedy. Whether backends are neighbours, and what the interfaces' drivers take, only a start tells.
pub fn lacks(pins: &Path) -> Vec<String> {
    let rights = bpf::demand("direct return", &[BPF, NET_ADMIN, PERFMON]).err();
    let rights = rights.map(|error| error.to_string());
    let place = match kernel::lack_of_place(pins) {
        Ok(lacks) => lacks,
        // Others may not look into it; what lacks then are the rights.
        Err(_) if rights.is_some() => None,
        Err(error) => Some(error.to_string()),
    };
    rights.into_iter().chain(place).collect()
}
