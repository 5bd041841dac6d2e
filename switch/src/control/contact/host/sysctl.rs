//! Settings of the kernel below `/proc/sys`, which get their former values back (sysctl(8)).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::control::contact::group::Family;

/// A setting that is kept at a value until this is dropped. Several may hold the same one: the
/// former value comes back with the last.
#[derive(Debug)]
#[must_use = "the former value comes back when it is dropped"]
pub struct Sysctl {
    path: PathBuf,
}

/// A setting's value of before, and how many hold it now.
struct Former {
    value: String,
    holders: usize,
}

static HELD: Mutex<BTreeMap<PathBuf, Former>> = Mutex::new(BTreeMap::new());

impl Sysctl {
    /// Sets it. Nothing is written where the value is that already: `/proc/sys` may be read-only,
    /// as in a container.
    ///
    /// # Errors
    /// There is no such setting (`NotFound`), or this process may not write it. The text names it.
    pub fn set(path: impl Into<PathBuf>, value: &str) -> io::Result<Self> {
        let path = path.into();
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let before = replace(&path, value)?;
        let former = held.entry(path.clone()).or_insert(Former {
            value: before,
            holders: 0,
        });
        former.holders += 1;
        Ok(Self { path })
    }

    /// Sets one of an interface, such as `arp_ignore`.
    ///
    /// # Errors
    /// As [`Sysctl::set`].
    pub fn set_for(interface: &str, family: Family, key: &str, value: &str) -> io::Result<Self> {
        Self::set(path(interface, family, key), value)
    }
}

/// The former values of all that are held now, for a process that goes on holding them.
pub fn former() -> Vec<(PathBuf, String)> {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.iter()
        .map(|(path, former)| (path.clone(), former.value.clone()))
        .collect()
}

/// What is held here was held by another process before: as former values, those that it found
/// count. Of what is not held here, nothing is taken.
pub fn inherit(former: &[(PathBuf, String)]) {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    for (path, value) in former {
        if let Some(former) = held.get_mut(path) {
            former.value.clone_from(value);
        }
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(former) = held.get_mut(&self.path) else {
            return;
        };
        former.holders -= 1;
        if former.holders == 0 {
            // The interface may be gone, and the setting with it.
            let _ = replace(&self.path, &former.value);
            held.remove(&self.path);
        }
    }
}

/// Where a setting of an interface is; `all` stands for the one that counts for every interface.
pub fn path(interface: &str, family: Family, key: &str) -> PathBuf {
    let family = match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    };
    Path::new("/proc/sys/net")
        .join(family)
        .join("conf")
        .join(interface)
        .join(key)
}

/// The value that a setting has.
///
/// # Errors
/// There is no such setting (`NotFound`), or this process may not read it. The text names it.
pub fn read(path: &Path) -> io::Result<String> {
    let value = std::fs::read_to_string(path).map_err(|error| named(path, &error))?;
    Ok(value.trim_end().to_owned())
}

/// Sets it, if it is not that already; gives back the value of before.
///
/// # Errors
/// As [`read`], or this process may not write it.
pub fn replace(path: &Path, value: &str) -> io::Result<String> {
    let before = read(path)?;
    if before != value {
        std::fs::write(path, value).map_err(|error| named(path, &error))?;
    }
    Ok(before)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_former_value_comes_back_with_the_last_holder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("arp_ignore");
        std::fs::write(&path, "0\n").expect("written");
        let one = Sysctl::set(&path, "1").expect("set");
        let other = Sysctl::set(&path, "1").expect("set");
        drop(one);
        assert_eq!(read(&path).expect("it is there"), "1");
        drop(other);
        assert_eq!(read(&path).expect("it is there"), "0");
        let again = Sysctl::set(&path, "2").expect("set");
        assert_eq!(read(&path).expect("it is there"), "2");
        drop(again);
        assert_eq!(read(&path).expect("it is there"), "0");
    }

    #[test]
    fn the_former_value_of_a_process_before_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (
            folder.path().join("arp_ignore"),
            folder.path().join("other"),
        );
        std::fs::write(&path, "1\n").expect("written");
        let held = Sysctl::set(&path, "1").expect("set");
        assert!(former().contains(&(path.clone(), "1".to_owned())));
        inherit(&[
            (path.clone(), "0".to_owned()),
            (other.clone(), "0".to_owned()),
        ]);
        drop(held);
        assert_eq!(read(&path).expect("it is there"), "0");
        assert!(!other.exists());
    }

    #[test]
    fn an_unknown_setting_is_an_error_that_names_it() {
        let path = path("no.such0", Family::Ipv4, "arp_ignore");
        let error = Sysctl::set(path, "1").expect_err("it is not there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("conf/no.such0/arp_ignore"));
    }
}
