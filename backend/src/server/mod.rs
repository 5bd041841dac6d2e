//! A small web server that tells which server answered: HTTP/1.1 and HTTP/2 with prior knowledge
//! on one port. What it answers stands in the table of [`answer`].
//!
//! ```no_run
//! # async fn demo() -> std::io::Result<()> {
//! use pointsman_backend::server::{Options, Server};
//!
//! let server = Server::bind(Options { name: Some("one".into()), ..Options::default() }).await?;
//! println!("listening on {}", server.local_addr());
//! let control = server.control();
//! tokio::spawn(server.run(std::future::pending()));
//! control.kill(); // every connection is reset, as if the process had died
//! # Ok(())
//! # }
//! ```

mod answer;
mod body;
mod connection;
mod control;
mod disk;
mod frame;
mod load;
mod websocket;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use self::answer::Site;
pub use self::control::Control;
use self::control::{KillOnDrop, Stage};

/// Connections that wait to be accepted at most.
const BACKLOG: u32 = 4096;
/// Pause after a failed accept, so that a lack of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Bytes of a padded body at most: 1 GiB.
pub const MAX_SIZE: u64 = 1 << 30;

/// How a [`Server`] listens and what it answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The name it answers with; `None`: its address.
    pub name: Option<String>,
    /// How long each answer is held back.
    pub delay: Duration,
    /// How many requests are worked on at a time, in the order in which they came; `None`: all.
    pub workers: Option<usize>,
    /// The share of requests answered with status 500, 0.0 to 1.0, evenly spread.
    pub errors: f64,
    /// Bytes that the body of an ordinary answer has at least, up to [`MAX_SIZE`].
    pub size: u64,
    /// Paths that are in memory at most, those that were used last; counts only with `miss`.
    pub cache: usize,
    /// How long the answer for a path that is not in memory is read from a disk, one at a time.
    pub miss: Duration,
    /// Whether each answer reports the load in `endpoint-load-metrics` (ORCA text format).
    pub report_load: bool,
    /// How long requests in flight may take to end once the server is told to stop.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            name: None,
            delay: Duration::ZERO,
            workers: None,
            errors: 0.0,
            size: 0,
            cache: 0,
            miss: Duration::ZERO,
            report_load: false,
            grace: Duration::from_secs(10),
        }
    }
}

/// A web server that listens, but does not answer before [`Server::run`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    site: Arc<Site>,
    control: Control,
    grace: Duration,
}

impl Server {
    /// Listens at the address of the options.
    ///
    /// # Errors
    /// Those of listening; `InvalidInput` when the name cannot stand in a header field, the share
    /// is not within 0.0 to 1.0, there are no workers, or the size is above [`MAX_SIZE`].
    pub async fn bind(options: Options) -> io::Result<Self> {
        check(&options)?;
        let socket = match options.listen {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(options.listen)?;
        let listener = socket.listen(BACKLOG)?;
        let local_addr = listener.local_addr()?;
        let name = options
            .name
            .clone()
            .unwrap_or_else(|| local_addr.to_string());
        let control = Control::new(options.delay, options.errors);
        let grace = options.grace;
        let site = Arc::new(Site::new(
            name_value(&name)?,
            name,
            options,
            control.clone(),
        ));
        Ok(Self {
            listener,
            local_addr,
            site,
            control,
            grace,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The name it answers with.
    pub fn name(&self) -> &str {
        self.site.name()
    }

    /// A handle that outlives [`Server::run`].
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Requests answered so far, health checks not counted.
    pub fn requests(&self) -> Arc<AtomicU64> {
        self.control.requests()
    }

    /// Serves until `shutdown` is ready, then ends requests in flight within the grace time.
    ///
    /// [`Control::kill`] ends it at once, and so does dropping the future: the listener closes and
    /// every connection is reset.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let kill = KillOnDrop::new(&self.control);
        let mut stage = self.control.subscribe();
        tokio::select! {
            () = accept(&self.listener, &self.site, &self.control) => {}
            () = until(&mut stage, Stage::Killed) => return,
            () = pin!(shutdown) => {}
        }
        // Connections end only when nobody waits for their stage any more.
        drop(stage);
        drop(self.listener);
        self.control.advance(Stage::Draining);
        let _ = tokio::time::timeout(self.grace, self.control.ended()).await;
        drop(kill);
    }
}

fn check(options: &Options) -> io::Result<()> {
    let wrong = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if !(0.0..=1.0).contains(&options.errors) {
        return wrong("the share of errors must be within 0.0 to 1.0");
    }
    if options.workers == Some(0) {
        return wrong("there must be a worker");
    }
    if options.size > MAX_SIZE {
        return wrong("the size must be 1 GiB at most");
    }
    Ok(())
}

fn name_value(name: &str) -> io::Result<HeaderValue> {
    HeaderValue::from_str(name)
        .ok()
        .filter(|value| !value.is_empty() && value.to_str().is_ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, NAME_RULE))
}

/// What [`Options::name`] may hold.
const NAME_RULE: &str = "the name must be printable ASCII and not empty";

async fn accept(listener: &TcpListener, site: &Arc<Site>, control: &Control) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                // Subscribed here, so that draining waits for it from now on.
                let stage = control.subscribe();
                tokio::spawn(connection::serve(stream, client, Arc::clone(site), stage));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Waits for a stage, or a later one.
async fn until(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    // An error means that the sender is gone, which only the end of the server brings about.
    let _ = stage.wait_for(|now| *now >= wanted).await;
}
