//! The admin interface's socket.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use pointsman_config::policy::BindAddr;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Reach;
use crate::sys::SocketFile;

/// Read and write for the owner and its group.
const MODE: u32 = 0o660;

/// An open socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket and its path; its file is removed when this is dropped, unless it belongs to
    /// the service manager.
    Unix(UnixListener, PathBuf, Option<SocketFile>),
}

impl Socket {
    /// Opens the socket. A Unix socket's file that nobody answers on is replaced.
    ///
    /// # Errors
    /// The system refuses; `AddrInUse` also when another process answers on a Unix socket.
    pub fn bind(address: &BindAddr) -> io::Result<Self> {
        match address {
            BindAddr::Any(port) => any(*port).map(Self::Tcp),
            BindAddr::Socket(socket) => TcpListener::bind(socket).map(Self::Tcp),
            BindAddr::Unix(path) => unix(path),
        }
    }

    /// Takes over a socket that another process has opened for `address`. `file` is the inode of
    /// a Unix socket's file that goes with it.
    pub fn adopt(address: &BindAddr, socket: OwnedFd, file: Option<u64>) -> Self {
        match address {
            BindAddr::Unix(path) => {
                let file = file.map(|inode| SocketFile::known(path, inode));
                Self::Unix(socket.into(), path.clone(), file)
            }
            BindAddr::Any(_) | BindAddr::Socket(_) => Self::Tcp(socket.into()),
        }
    }

    /// A copy for another process, with the inode of the file that goes with it.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn lend(&self) -> io::Result<(OwnedFd, Option<u64>)> {
        Ok(match self {
            Self::Tcp(listener) => (listener.try_clone()?.into(), None),
            Self::Unix(listener, _, file) => (
                listener.try_clone()?.into(),
                file.as_ref().map(SocketFile::inode),
            ),
        })
    }

    /// Where it listens in fact.
    pub fn address(&self) -> Option<BindAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(BindAddr::Socket),
            Self::Unix(_, path, _) => Some(BindAddr::Unix(path.clone())),
        }
    }

    /// From where it can be reached.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or(Reach::Network, Reach::of),
            Self::Unix(..) => Reach::File,
        }
    }

    /// Ready to accept on the runtime that is entered.
    pub(super) fn listen(self) -> io::Result<Listening> {
        match self {
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Ok(Listening::Tcp(tokio::net::TcpListener::from_std(listener)?))
            }
            Self::Unix(listener, _, file) => {
                listener.set_nonblocking(true)?;
                Ok(Listening::Unix(
                    tokio::net::UnixListener::from_std(listener)?,
                    file,
                ))
            }
        }
    }
}

/// Where the socket goes when the policy does not say: the first one that can be made is taken.
pub fn default_paths() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/run/pointsman")];
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => folders.push(Path::new(&folder).join("pointsman")),
        None => {
            let uid = rustix::process::getuid().as_raw();
            folders.push(PathBuf::from(format!("/tmp/pointsman-{uid}")));
        }
    }
    folders
        .into_iter()
        .map(|folder| folder.join("admin.sock"))
        .collect()
}

/// Bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A socket on a runtime.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener, Option<SocketFile>),
}

impl Listening {
    /// Another process accepts on the same socket: its file stays.
    pub(super) fn hand_over(self) {
        if let Self::Unix(_, Some(file)) = self {
            file.leave();
        }
    }

    /// The next connection, and the address that it is from.
    pub(super) async fn accept(&self) -> io::Result<(Pin<Box<dyn Stream>>, Option<IpAddr>)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                (Box::pin(stream), Some(from.ip().to_canonical()))
            }
            Self::Unix(listener, _) => (Box::pin(listener.accept().await?.0), None),
        })
    }
}

fn any(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port))))
}

fn unix(path: &Path) -> io::Result<Socket> {
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            let message = "another process answers on this socket";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
    let file = SocketFile::at(path)?;
    Ok(Socket::Unix(listener, path.to_owned(), Some(file)))
}

/// Makes the folder for this user alone. One that is there already must be a true folder; in a
/// shared place such as /tmp it must also be this user's own.
fn make_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o750).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = std::fs::symlink_metadata(folder)?;
    let own = found.uid() == rustix::process::getuid().as_raw();
    if folder.starts_with("/tmp") && folder != Path::new("/tmp") && !(found.is_dir() && own) {
        let message = "this folder belongs to another user";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "the file stays behind");
        let address = BindAddr::Unix(path.clone());
        let live = Socket::bind(&address).expect("a stale file is no obstacle");
        let error = Socket::bind(&address).expect_err("somebody answers");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, MODE);
        drop(live);
        assert!(!path.exists(), "the file goes with the socket");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        std::fs::write(&path, "precious").expect("written");
        assert!(Socket::bind(&BindAddr::Unix(path.clone())).is_err());
        assert_eq!(std::fs::read(&path).expect("there"), b"precious");
    }
}
