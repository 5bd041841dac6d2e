//! nginx in a host.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use tempfile::TempDir;

use super::run::wait_until;
use super::{Daemon, Host};

/// nginx with one worker: it answers `/` with its name, and `/N` with as many MiB for some N; what is
/// put to `/put/NAME` it keeps.
#[derive(Debug)]
pub struct Nginx {
    daemon: Daemon,
    folder: TempDir,
}

/// Sizes of files, in MiB.
const FILES: [u64; 4] = [1, 10, 20, 100];

impl Nginx {
    /// Starts it at these ports of all addresses, and waits until it listens.
    pub fn start(host: &Host, name: &str, ports: &[u16]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for size in FILES {
            let file = File::create(folder.path().join(size.to_string())).expect("a file");
            file.set_len(size << 20).expect("a file without blocks");
        }
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config(name, ports, folder.path())).expect("it is our folder");
        let mut command = host.command("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(folder.path());
        let daemon = Daemon::start(&format!("nginx of {}", host.name()), &mut command);
        let mut nginx = Self { daemon, folder };
        for port in ports {
            let own = SocketAddr::from((host.ipv4(), *port));
            wait_until("nginx listens", || {
                let ended = nginx.daemon.has_ended();
                assert!(ended.is_none(), "nginx has ended: {}", nginx.daemon.log());
                host.enter(|| TcpStream::connect(own).is_ok())
            });
        }
        nginx
    }

    /// What was put to `/put/NAME`; empty if nothing was.
    pub fn kept(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join("put").join(name)).unwrap_or_default()
    }

    /// Ends it and its workers in the middle of everything (SIGKILL).
    pub fn kill(&mut self) {
        self.daemon.kill_all();
    }
}

fn config(name: &str, ports: &[u16], folder: &Path) -> String {
    let listen = |port: &u16| format!("listen {port}; listen [::]:{port};\n");
    let listen: String = ports.iter().map(listen).collect();
    let folder = folder.display();
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\nsendfile on;\n\
         keepalive_timeout 600s;\nkeepalive_requests 1000000000;\n\
         server {{\n{listen}root {folder};\nadd_header X-Backend {name} always;\n\
         location = / {{ return 200 \"{name}\\n\"; }}\n\
         location /put/ {{ dav_methods PUT; create_full_put_path on; client_max_body_size 0; }}\n\
         client_body_temp_path {folder}/body;\n}}\n}}\n"
    )
}
