//! What outlives a process: maps and links under names in a folder of the BPF file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::MapData;

use super::attach;
use super::layout::{
    BackendBytes, BackendCounts, FlowBytes, FlowKeyBytes, FrontBytes, KeyBytes, RingBytes,
    ServiceBytes, ServiceCounts, Settings, SettingsBytes, TotalCounts,
};
use super::load::explained;
use crate::sys::bpf;

/// Where systems have the BPF file system.
const USUAL: &str = "/sys/fs/bpf";

/// Has the folder there, and the maps in it gone if they are not as this process needs them; whether
/// they are. `sizes` are the numbers of elements.
pub fn prepare(pins: &Path, sizes: &[(&'static str, u32)]) -> io::Result<bool> {
    make_folder(pins)?;
    if fits(pins, sizes) {
        return Ok(true);
    }
    for (name, _) in sizes {
        remove(&pins.join(name))?;
    }
    Ok(false)
}

/// Detaches and removes everything that processes have left in this folder, and the folder: packets
/// of services are the host's own then. Nothing happens if it is not there.
///
/// # Errors
/// Those of the kernel.
pub fn clear(pins: &Path) -> io::Result<()> {
    for held in attach::adopt(pins)? {
        held.detach(Some(pins))?;
    }
    for path in entries(pins)? {
        remove(&path)?;
    }
    match fs::remove_dir(pins) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| named(pins, &error)),
    }
}

/// What is in the folder; nothing, if it is not there.
pub fn entries(pins: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(pins) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(named(pins, &error)),
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// Removes a pin, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| named(path, &error)),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn make_folder(pins: &Path) -> io::Result<()> {
    if lack_of_place(pins)?.is_some() && pins.starts_with(USUAL) {
        // Where no service manager has done so.
        let _ = bpf::mount_file_system(Path::new(USUAL));
    }
    if let Some(lacks) = lack_of_place(pins)? {
        return Err(io::Error::new(io::ErrorKind::Unsupported, lacks));
    }
    fs::create_dir_all(pins).map_err(|error| named(pins, &error))
}

/// What to do so that the folder is on a file system for BPF; `None`: it is.
///
/// # Errors
/// It cannot be looked at.
pub fn lack_of_place(pins: &Path) -> io::Result<Option<String>> {
    let is_there = bpf::is_on_file_system(pins).map_err(|error| named(pins, &error))?;
    let text = || {
        format!(
            "{} is not on a BPF file system, which keeps direct return alive while the process is \
             not: `mount -t bpf bpf {USUAL}`, or name a folder on another one",
            pins.display()
        )
    };
    Ok((!is_there).then(text))
}

/// Whether all maps are there, of this layout and of these sizes.
fn fits(pins: &Path, sizes: &[(&'static str, u32)]) -> bool {
    let fits = |(name, size): &(&'static str, u32)| {
        let map = MapData::from_pin(pins.join(name)).and_then(|map| map.info());
        let (key, value) = bytes(name);
        map.is_ok_and(|map| {
            let found = (map.key_size(), map.value_size(), map.max_entries());
            found == (key as u32, value as u32, *size)
        })
    };
    sizes.iter().all(fits) && has_version(pins)
}

/// Of keys and values.
fn bytes(map: &str) -> (usize, usize) {
    let index = size_of::<u32>();
    match map {
        "settings" => (index, size_of::<SettingsBytes>()),
        "services" => (size_of::<KeyBytes>(), size_of::<ServiceBytes>()),
        "front" => (index, size_of::<FrontBytes>()),
        "rings" => (index, size_of::<RingBytes>()),
        "states" => (index, size_of::<u32>()),
        "backends" => (index, size_of::<BackendBytes>()),
        "flows" => (size_of::<FlowKeyBytes>(), size_of::<FlowBytes>()),
        "service_counters" => (index, size_of::<ServiceCounts>()),
        "backend_counters" => (index, size_of::<BackendCounts>()),
        "totals" => (index, size_of::<TotalCounts>()),
        _ => (0, 0),
    }
}

fn has_version(pins: &Path) -> bool {
    let read = || -> io::Result<SettingsBytes> {
        let map = MapData::from_pin(pins.join("settings"))
            .map_err(|error| explained("read a pinned map", &error))?;
        let map = aya::maps::Map::from_map_data(map)
            .map_err(|error| explained("read a pinned map", &error))?;
        let settings: aya::maps::Array<MapData, SettingsBytes> = map
            .try_into()
            .map_err(|error| explained("read a pinned map", &error))?;
        settings
            .get(&0, 0)
            .map_err(|error| explained("read a pinned map", &error))
    };
    read().is_ok_and(|bytes| Settings::decode(&bytes).is_some())
}
