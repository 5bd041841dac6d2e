//! Everything of direct return is taken out of the kernel, by hand and without a switch.

use std::io;
use std::path::Path;

use super::pins;
use crate::control::bpf::{self, BPF, NET_ADMIN};

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleared {
    /// Nothing is left.
    All,
    /// There was nothing.
    Nothing,
    /// A switch runs that uses it: nothing has changed.
    Used,
    /// What is there is of another network namespace: nothing has changed.
    Elsewhere,
}

/// Takes programs, tables and rules out of the kernel that switches of this network namespace have
/// left in this folder, and the folder. Packets of their services are the host's own then.
///
/// # Errors
/// Rights that lack, or what the kernel refuses.
pub fn clear(pins: &Path) -> io::Result<Cleared> {
    bpf::demand("to clear direct return", &[BPF, NET_ADMIN])?;
    if !pins.try_exists()? {
        return Ok(Cleared::Nothing);
    }
    if pins::is_elsewhere(pins)? {
        return Ok(Cleared::Elsewhere);
    }
    Ok(match pins::sweep_here(pins)? {
        true => Cleared::All,
        false => Cleared::Used,
    })
}
