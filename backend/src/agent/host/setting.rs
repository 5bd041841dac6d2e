//! Settings of the kernel below `/proc/sys` (sysctl).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The value of a setting such as `net/ipv4/conf/all/arp_ignore`.
pub(super) fn read(name: &str) -> io::Result<String> {
    let path = path(name);
    let text = fs::read_to_string(&path);
    text.map(|text| text.trim().to_owned())
        .map_err(|error| named(&path, error))
}

/// Sets it.
pub(super) fn write(name: &str, value: &str) -> io::Result<()> {
    let path = path(name);
    fs::write(&path, value).map_err(|error| named(&path, error))
}

fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
