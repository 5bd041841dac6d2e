//! The demo's policy: a file that the user may edit while the demo runs.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::backends::Backends;

/// The file; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    front: SocketAddr,
    admin: SocketAddr,
}

impl PolicyFile {
    /// With these ports for clients and the admin interface, or free ones where they are taken.
    pub(super) fn write(backends: &Backends, ports: (u16, u16)) -> io::Result<Self> {
        let front = free(ports.0)?;
        let admin = free(ports.1)?;
        let folder = folder()?;
        let path = folder.join("pointsman.toml");
        std::fs::write(&path, text(front, admin, backends))?;
        Ok(Self { path, front, admin })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where clients connect.
    pub(super) fn front(&self) -> SocketAddr {
        self.front
    }

    /// The admin interface.
    pub(super) fn admin(&self) -> SocketAddr {
        self.admin
    }
}

impl Drop for PolicyFile {
    fn drop(&mut self) {
        if let Some(folder) = self.path.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn text(front: SocketAddr, admin: SocketAddr, backends: &Backends) -> String {
    let mut text = format!(
        "# The policy of `pointsman demo`. Change it and save: it comes into force at once.\n\
         \n\
         [admin]\n\
         listen = \"{admin}\"\n\
         \n\
         [listener.web]\n\
         bind = \"{front}\"\n\
         \n\
         [[route]]\n\
         pool = \"app\"\n\
         \n\
         [pool.app]\n\
         balance = \"round-robin\"   # or \"least-request\", \"random\"\n\
         health = {{ path = \"/healthz\", interval = \"1s\", timeout = \"500ms\", rise = 1 }}\n\
         eject = {{ for = \"2s\" }}      # a server that fails again and again: 2 s, 4 s, 8 s...\n\
         backends = [\n"
    );
    for (name, addr) in backends.addresses() {
        let _ = writeln!(
            text,
            "  {{ name = \"{name}\", addr = \"{addr}\", weight = 1 }},"
        );
    }
    text + "]\n"
}

/// This port, or another one that is free.
fn free(port: u16) -> io::Result<SocketAddr> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    bind(port).or_else(|_| bind(0))?.local_addr()
}

/// A new folder for this user alone.
fn folder() -> io::Result<PathBuf> {
    let pid = std::process::id();
    let make = |number: u32| {
        let folder = std::env::temp_dir().join(format!("pointsman-demo-{pid}-{number}"));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map(|()| folder)
    };
    (0..100)
        .map(make)
        .find(|made| match made {
            Err(error) => error.kind() != io::ErrorKind::AlreadyExists,
            Ok(_) => true,
        })
        .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
}
