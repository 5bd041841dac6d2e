//! The demo's web servers. Each can be killed and brought back.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use pointsman_backend::server::{Control, Options, Server};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

const NAMES: [&str; 3] = ["one", "two", "three"];

/// The servers, in a thread of their own.
#[derive(Debug)]
pub(super) struct Backends {
    runtime: Handle,
    all: Vec<Backend>,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Backend {
    name: &'static str,
    addr: SocketAddr,
    /// `None`: it is dead.
    control: Mutex<Option<Control>>,
}

impl Backends {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut all = Vec::new();
        for name in NAMES {
            let (addr, control) = runtime.block_on(begin(name, ([127, 0, 0, 1], 0).into()))?;
            all.push(Backend {
                name,
                addr,
                control: Mutex::new(Some(control)),
            });
        }
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("demo-backends".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self {
            runtime: handle,
            all,
            _stop: stop,
        })
    }

    /// Names and addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.all.iter().map(|backend| (backend.name, backend.addr))
    }

    /// Kills a server, or brings it back; what was done, or `None` when there is no such server.
    pub(super) fn toggle(&self, place: usize) -> Option<String> {
        let backend = self.all.get(place)?;
        let name = backend.name;
        let mut control = backend
            .control
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(control) = control.take() {
            control.kill();
            return Some(format!("{name} is dead\n"));
        }
        let (reply, answer) = std::sync::mpsc::channel();
        let addr = backend.addr;
        self.runtime.spawn(async move {
            let _ = reply.send(begin(name, addr).await);
        });
        match answer.recv() {
            Ok(Ok((_, revived))) => {
                *control = Some(revived);
                Some(format!("{name} is back\n"))
            }
            Ok(Err(error)) => Some(format!("{name} cannot come back: {error}\n")),
            Err(_) => Some(format!(
                "{name} cannot come back: the demo is about to end\n"
            )),
        }
    }
}

async fn begin(name: &str, listen: SocketAddr) -> io::Result<(SocketAddr, Control)> {
    let options = Options {
        listen,
        name: Some(name.to_owned()),
        ..Options::default()
    };
    let server = Server::bind(options).await?;
    let (addr, control) = (server.local_addr(), server.control());
    tokio::spawn(server.run(std::future::pending()));
    Ok((addr, control))
}
