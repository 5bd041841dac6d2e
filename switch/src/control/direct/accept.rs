//! `accept_local` of interfaces. Answers to checks come from the service's address, which is this host's
//! own, and IPv4 takes them for forged without that setting.
//!
//! What was set stands in the folder of pins as an empty folder for each interface: so whoever ends last
//! puts it back, though another process has set it.

use std::io;
use std::path::{Path, PathBuf};

use super::pins;
use crate::control::contact::group::Family;
use crate::control::contact::host::{Device, Host, sysctl};

/// Sets it for an interface, and notes that if it was not set.
///
/// # Errors
/// It cannot be written, or not be noted.
pub(super) fn set(pins: &Path, device: &Device) -> io::Result<()> {
    let setting = setting(device);
    if sysctl::read(&setting)? == "1" {
        return Ok(());
    }
    pins::make_folder(&pins.join(format!("{}{}", prefix()?, device.index)))?;
    sysctl::replace(&setting, "1").map(drop)
}

/// Puts it back where it was noted, but for these interfaces.
///
/// # Errors
/// It cannot be written, or the folder cannot be read.
pub(super) fn put_back(pins: &Path, host: &Host, but: impl Fn(u32) -> bool) -> io::Result<()> {
    let prefix = prefix()?;
    let entries = match std::fs::read_dir(pins) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let index = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        let Some(index) = index.and_then(|index| index.parse().ok()) else {
            continue;
        };
        if but(index) {
            continue;
        }
        let devices = host.devices()?;
        if let Some(device) = devices.iter().find(|device| device.index == index) {
            sysctl::replace(&setting(device), "0")?;
        }
        std::fs::remove_dir(entry.path())?;
    }
    Ok(())
}

fn setting(device: &Device) -> PathBuf {
    sysctl::path(&device.name, Family::Ipv4, "accept_local")
}

/// The interface's number follows, in the network that this process is in.
fn prefix() -> io::Result<String> {
    Ok(format!("accept-{}-", pins::network()?))
}
