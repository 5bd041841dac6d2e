//! A switch whose admin interface a browser can reach, and requests to it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Child;

use tempfile::TempDir;

use crate::support::*;

/// A running switch. It is killed when this is dropped.
pub struct Board {
    pub folder: TempDir,
    pub admin: SocketAddr,
    child: Child,
}

impl Board {
    /// With this policy, to which `[admin]` with `more` is added, at 127.0.0.1.
    pub fn start(policy: &str, more: &str) -> Self {
        let admin = free_address();
        Self::start_at(&admin.to_string(), admin, policy, more)
    }

    /// Listening for `listen`, and reached at `admin`.
    pub fn start_at(listen: &str, admin: SocketAddr, policy: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.toml");
        let text = format!("[admin]\nlisten = \"{listen}\"\n{more}\n{policy}");
        std::fs::write(&file, text).unwrap();
        let child = pointsman(&["run", file.to_str().unwrap()]).spawn().unwrap();
        let board = Self {
            folder,
            admin,
            child,
        };
        wait_until("it is ready", || board.get("/ready").0 == 200);
        board
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, &[])
    }

    /// Status and body; status 0 when no answer comes.
    pub fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let (head, body) = self.whole(method, path, fields);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), body)
    }

    /// Head and body.
    pub fn whole(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> (String, String) {
        let mut answer = Vec::new();
        if let Ok(mut stream) = self.begin(method, path, fields) {
            let _ = stream.read_to_end(&mut answer);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.to_owned(), body.to_owned())
    }

    /// Sends a request. HTTP/1.0, so that what comes is not in chunks.
    pub fn begin(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.admin, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = format!("{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n");
        if !fields.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.admin);
        }
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        stream.write_all((text + "\r\n").as_bytes())?;
        Ok(stream)
    }

    pub fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Where the listener `web` listens.
    pub fn web(&self) -> SocketAddr {
        address_in(&self.json("/status"), "web")
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
