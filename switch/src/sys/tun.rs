//! Network devices that live as long as their descriptor (TUN).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

/// Packets that one call takes out of the device at most; the kernel queues 500 (`txqueuelen`) and
/// drops what comes on top.
const BATCH: usize = 64;

/// A TUN device without a file of its own: it is gone, with its addresses and routes, as soon as
/// the last descriptor of it is closed, however its processes end.
#[derive(Debug)]
pub struct Tun(OwnedFd);

impl Tun {
    /// A new device of that name, of 1 to 15 bytes. It is down and has no addresses.
    ///
    /// # Errors
    /// There is one of that name (`ResourceBusy`), the name is not one (`InvalidInput`), or this
    /// process lacks `CAP_NET_ADMIN` or may not open `/dev/net/tun`.
    pub fn create(name: &str) -> io::Result<Self> {
        Self::open(name, libc::IFF_TUN_EXCL)
    }

    /// The device of that name, which another process has created and goes on to hold, or a new one
    /// as [`Tun::create`] makes it. Each process has a queue of its own: what the kernel sends into
    /// the device goes to any of them.
    ///
    /// # Errors
    /// What has that name is no device of [`Tun::create`] (`InvalidInput`); else as there.
    pub fn share(name: &str) -> io::Result<Self> {
        Self::open(name, 0)
    }

    fn open(name: &str, flags: libc::c_int) -> io::Result<Self> {
        let mut request = request(name, flags)?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let device = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
        // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is, and keeps no pointer
        // to it; the descriptor is open.
        let done =
            unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(device))
    }

    /// Throws away what the kernel has sent into the device, some packets at a time: nobody reads
    /// them. Never waits.
    pub fn drain(&self) {
        let mut packet = [0_u8; 64];
        for _ in 0..BATCH {
            // What does not fit is cut off by the kernel.
            if rustix::io::read(&self.0, &mut packet).is_err() {
                return;
            }
        }
    }
}

/// Of a TUN device (no Ethernet header) whose packets bear no further header, and which can have
/// more than one queue.
fn request(name: &str, flags: libc::c_int) -> io::Result<libc::ifreq> {
    let is_name = (1..libc::IFNAMSIZ).contains(&name.len())
        // The kernel would put a number in the place of "%d".
        && !name.contains(['%', '\0']);
    if !is_name {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is no name for a network device"),
        ));
    }
    // SAFETY: all zeros are an `ifreq`: it is made of numbers, arrays of them, and pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // The kernel reads the bits: that the highest one is the sign does not matter.
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE | flags;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    Ok(request)
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_of_a_device_is_refused() {
        for name in ["", "tun%d", "sixteen-letters-", "a\0b"] {
            let error = request(name, 0).err().map(|error| error.kind());
            assert_eq!(error, Some(io::ErrorKind::InvalidInput), "{name:?}");
        }
        assert!(request("fifteen-letters", 0).is_ok());
    }
}
