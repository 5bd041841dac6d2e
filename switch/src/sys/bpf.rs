//! What bpf(2) and its file system offer beyond the library: a map is read many elements at a time, and a
//! pinned link is detached at once.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;

use aya::maps::{MapData, MapType};
use rustix::io::Errno;

/// `BPF_MAP_LOOKUP_BATCH`, since Linux 5.6.
const MAP_LOOKUP_BATCH: c_int = 24;
/// `BPF_OBJ_GET`.
const OBJ_GET: c_int = 7;
/// `BPF_LINK_DETACH`, since Linux 5.9.
const LINK_DETACH: c_int = 34;
/// `BPF_FS_MAGIC`.
const FILE_SYSTEM: u64 = 0xcafe_4a11;

/// `BPF_MAP_LOOKUP_ELEM`.
const MAP_LOOKUP_ELEM: c_int = 1;

/// The part of `union bpf_attr` for single elements.
#[repr(C)]
struct Element {
    map_fd: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Reads an element of an array with values of `VALUE` bytes, which may be too large for the stack.
///
/// # Errors
/// Those of bpf(2): it has no such element. `InvalidInput`: its values have another size, or it is
/// no array of one value for all CPUs.
pub fn read_large<const VALUE: usize>(map: &MapData, index: u32) -> io::Result<Box<[u8; VALUE]>> {
    let info = map.info().map_err(io::Error::other)?;
    let is_array = matches!(info.map_type(), Ok(MapType::Array));
    if !is_array || info.value_size() as usize != VALUE {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // The kernel writes as many bytes as the size is rounded up to eight, but for this kind of map.
    let mut value = vec![0_u8; VALUE.next_multiple_of(8)];
    let mut element = Element {
        map_fd: u32::try_from(map.fd().as_fd().as_raw_fd()).unwrap_or(u32::MAX),
        key: (&raw const index).expose_provenance() as u64,
        value: value.as_mut_ptr().expose_provenance() as u64,
        flags: 0,
    };
    // SAFETY: `element` is laid out as the command's part of `union bpf_attr`. The key is the four
    // bytes that an array's have, and the value has room for the map's, as was just seen; both outlive
    // the call, which keeps no pointer.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            MAP_LOOKUP_ELEM,
            &raw mut element,
            size_of::<Element>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    value.truncate(VALUE);
    let value: Result<Box<[u8; VALUE]>, _> = value.into_boxed_slice().try_into();
    value.map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `batch` of `union bpf_attr`.
#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Reads a hash map from its beginning to its end, some elements at a time.
#[derive(Debug)]
pub struct MapReader<'map, const KEY: usize, const VALUE: usize> {
    map: BorrowedFd<'map>,
    /// Where the kernel was: the number of a bucket.
    at: Option<u32>,
    ended: bool,
    keys: Vec<[u8; KEY]>,
    values: Vec<[u8; VALUE]>,
}

impl<'map, const KEY: usize, const VALUE: usize> MapReader<'map, KEY, VALUE> {
    /// Of a hash map with keys of `KEY` bytes and values of `VALUE` bytes, at most `batch` elements
    /// at a time. The kernel reads whole buckets: a hundred is enough for any.
    ///
    /// # Errors
    /// Its keys and values have other sizes (`InvalidInput`), or the kernel tells nothing of it.
    pub fn new(map: &'map MapData, batch: usize) -> io::Result<Self> {
        let info = map.info().map_err(io::Error::other)?;
        if info.key_size() as usize != KEY || info.value_size() as usize != VALUE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self {
            map: map.fd().as_fd(),
            at: None,
            ended: false,
            keys: vec![[0; KEY]; batch],
            values: vec![[0; VALUE]; batch],
        })
    }

    /// The next elements; `None` after the last. Of what changes meanwhile, some may be missed and
    /// some come twice.
    ///
    /// # Errors
    /// Those of bpf(2): the map is of another kind, or a bucket is larger than the batch.
    pub fn next_batch(
        &mut self,
    ) -> io::Result<Option<impl Iterator<Item = (&[u8; KEY], &[u8; VALUE])>>> {
        if self.ended {
            return Ok(None);
        }
        let from = self.at.unwrap_or_default();
        let mut next = 0_u32;
        let room = self.keys.len().min(self.values.len());
        let mut batch = Batch {
            in_batch: self
                .at
                .map_or(0, |_| (&raw const from).expose_provenance() as u64),
            out_batch: (&raw mut next).expose_provenance() as u64,
            keys: self.keys.as_mut_ptr().expose_provenance() as u64,
            values: self.values.as_mut_ptr().expose_provenance() as u64,
            count: u32::try_from(room).unwrap_or(u32::MAX),
            map_fd: u32::try_from(self.map.as_raw_fd()).unwrap_or(u32::MAX),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: `batch` is laid out as the command's part of `union bpf_attr`. `from` and `next`
        // hold the four bytes by which the kernel numbers a hash map's buckets; keys and values have
        // room for `count` elements, and all of it outlives the call, which keeps no pointer. If the
        // map's keys or values were longer than `KEY` and `VALUE`, the kernel would write beyond: `new`
        // has compared them.
        let done = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                MAP_LOOKUP_BATCH,
                &raw mut batch,
                size_of::<Batch>(),
            )
        };
        if done < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(Errno::NOENT.raw_os_error()) {
                return Err(error);
            }
            self.ended = true;
        }
        self.at = Some(next);
        let count = (batch.count as usize).min(room);
        Ok(Some(self.keys.iter().zip(&self.values).take(count)))
    }
}

/// Where an object is pinned, in `union bpf_attr`.
#[repr(C)]
struct Pinned {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Takes the program of a pinned link off at once, and leaves the pin, which holds nothing any more.
///
/// # Errors
/// There is no such pin, it is no link's, or what it was attached to is gone.
pub fn detach_link(pin: &Path) -> io::Result<()> {
    let path = CString::new(pin.as_os_str().as_encoded_bytes())?;
    let mut pinned = Pinned {
        path: path.as_ptr().expose_provenance() as u64,
        fd: 0,
        flags: 0,
    };
    // SAFETY: `pinned` is laid out as the command's part of `union bpf_attr`. The path ends with a zero
    // and outlives the call, which keeps no pointer.
    let got =
        unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET, &raw mut pinned, size_of::<Pinned>()) };
    let got = c_int::try_from(got).unwrap_or(-1);
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has made this descriptor just now, and nobody else has it.
    let link = unsafe { OwnedFd::from_raw_fd(got) };
    let mut number = link.as_raw_fd();
    // SAFETY: the command's part of `union bpf_attr` is a descriptor alone.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            LINK_DETACH,
            &raw mut number,
            size_of::<c_int>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether the folder, or the nearest one above it that is there, is of the file system of BPF.
///
/// # Errors
/// Those of statfs(2).
pub fn is_on_file_system(folder: &Path) -> io::Result<bool> {
    for folder in folder.ancestors() {
        match rustix::fs::statfs(folder) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
            Ok(found) => return Ok(u64::try_from(found.f_type).ok() == Some(FILE_SYSTEM)),
        }
    }
    Ok(false)
}

/// Mounts a new file system of BPF there.
///
/// # Errors
/// There is no such folder, or this process lacks `CAP_SYS_ADMIN`.
pub fn mount_file_system(folder: &Path) -> io::Result<()> {
    let folder = CString::new(folder.as_os_str().as_encoded_bytes())?;
    let kind = c"bpf".as_ptr();
    // SAFETY: all are strings that end with a zero and outlive the call; there is no data.
    let done = unsafe { libc::mount(kind, folder.as_ptr(), kind, 0, std::ptr::null()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
