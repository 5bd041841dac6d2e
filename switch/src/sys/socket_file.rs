//! The files of Unix sockets that this process listens on.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The file of a Unix socket, and which one it is: another process may have put its own there. It
/// is removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: Option<PathBuf>,
    inode: u64,
}

/// All files stay, whatever happens to their sockets.
static STAY: AtomicBool = AtomicBool::new(false);

impl SocketFile {
    /// Whether all files stay from now on: while another process still listens on the sockets,
    /// this one's failure must not take its files away.
    pub fn let_all_stay(stay: bool) {
        STAY.store(stay, Ordering::Relaxed);
    }

    /// The file that is there now.
    ///
    /// # Errors
    /// There is none.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::known(path, std::fs::symlink_metadata(path)?.ino()))
    }

    /// The file of this inode, if it is still there.
    pub fn known(path: &Path, inode: u64) -> Self {
        Self {
            path: Some(path.to_owned()),
            inode,
        }
    }

    /// What tells it from others of that name.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Another process listens on it from now on: it stays.
    pub fn leave(mut self) {
        self.path = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else { return };
        if STAY.load(Ordering::Relaxed) {
            return;
        }
        if std::fs::symlink_metadata(&path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_same_name_that_is_another_one_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.sock");
        std::fs::write(&path, "").expect("written");
        let file = SocketFile::at(&path).expect("it is there");
        std::fs::rename(&path, folder.path().join("moved")).expect("moved");
        std::fs::write(&path, "").expect("written");
        drop(file);
        assert!(path.exists());
        drop(SocketFile::at(&path).expect("it is there"));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_was_left_to_another_process_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.sock");
        std::fs::write(&path, "").expect("written");
        SocketFile::at(&path).expect("it is there").leave();
        assert!(path.exists());
    }
}
