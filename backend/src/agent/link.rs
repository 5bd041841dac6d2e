//! The session with one switch, again and again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::{mpsc, watch};

use super::Settings;
use super::backoff::Backoff;
use super::links::News;
use crate::protocol::channel::Key;
use crate::protocol::ended::Ended;
use crate::protocol::message::{Accepted, Mode, Refused, Register, Standing, ToAgent, ToSwitch};
use crate::protocol::talk::{self, AgentTalk};
use crate::protocol::wire::Wire;
use crate::protocol::{HANDSHAKE_LIMIT, KEEPALIVE, SILENCE};

/// Until a connection stands.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// From one update to the next: no switch listens to more than a few in a second.
const UPDATE_GAP: Duration = Duration::from_millis(200);

type OwnWire = Wire<ToSwitch, ToAgent>;

/// What the agent is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// The server is there.
    Serve,
    /// The server takes nothing new.
    Leave,
    /// It is over.
    End,
}

/// One switch as the agent sees it.
pub(super) struct Link {
    pub(super) switch: String,
    pub(super) settings: Settings,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) course: watch::Receiver<Course>,
    pub(super) news: mpsc::Sender<News>,
    /// The switch's address, and the server's as it is registered there.
    pub(super) ends: (IpAddr, IpAddr),
}

/// How a try ends.
enum End {
    /// The agent itself ends.
    Done,
    /// Another process of the switch is there.
    Moved,
    Refused(Refused),
    Lost(Ended),
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        Self::Lost(ended)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.into())
    }
}

impl Link {
    /// Until the agent ends.
    pub(super) async fn run(mut self, seed: u64) {
        let key = talk::key(&self.settings.secret);
        let mut backoff = Backoff::new(seed);
        let mut last = String::new();
        loop {
            let mut open = None;
            let end = self.session(&key, &mut open).await;
            let lasted = open.map(|since: Instant| since.elapsed());
            if open.is_some() {
                last.clear();
            }
            let (wait, trouble) = match end {
                Err(End::Done) | Ok(()) => return,
                Err(End::Moved) => (backoff.wait(Some(Duration::MAX)), None),
                Err(End::Refused(refused)) => (
                    backoff.refused(),
                    Some(format!("refused ({}): {}", refused.reason, refused.text)),
                ),
                Err(End::Lost(ended)) => (backoff.wait(lasted), Some(ended.to_string())),
            };
            if let Some(trouble) = trouble.filter(|trouble| *trouble != last) {
                last.clone_from(&trouble);
                self.tell(News::Lost {
                    switch: self.switch.clone(),
                    trouble,
                })
                .await;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = turned(&mut self.course) => return,
            }
        }
    }

    async fn session(&mut self, key: &Key, open: &mut Option<Instant>) -> Result<(), End> {
        if *self.course.borrow() != Course::Serve {
            return Err(End::Done);
        }
        let mut course = self.course.clone();
        let connecting = tokio::time::timeout(CONNECT_LIMIT, self.connect());
        let stream = tokio::select! {
            stream = connecting => stream.map_err(|_| timed_out())??,
            () = turned(&mut course) => return Err(End::Done),
        };
        let own = stream.local_addr()?.ip().to_canonical();
        let at = stream.peer_addr()?.ip().to_canonical();
        self.ends = (at, self.settings.address.unwrap_or(own));
        let mut wire = Wire::new(stream, AgentTalk::opener(key)?)?;
        self.standing.borrow_and_update();
        wire.say(&ToSwitch::Register(self.register())).await?;
        let answer = tokio::time::timeout(HANDSHAKE_LIMIT, wire.hear());
        let answer = answer.await.map_err(|_| Ended::Unauthentic)??;
        let ToAgent::Accepted(accepted) = answer else {
            return Err(self.unless_refused(answer));
        };
        *open = Some(Instant::now());
        self.accepted(accepted).await;
        self.go_on(wire).await
    }

    async fn go_on(&mut self, mut wire: OwnWire) -> Result<(), End> {
        let mut alive = tokio::time::interval(KEEPALIVE);
        let (mut heard_at, mut told_at) = (Instant::now(), Instant::now());
        let mut leaving = false;
        loop {
            let next_update = told_at + UPDATE_GAP;
            tokio::select! {
                heard = wire.hear() => {
                    heard_at = Instant::now();
                    self.hear(heard?).await?;
                }
                _ = alive.tick() => wire.say(&ToSwitch::Alive).await?,
                Ok(()) = changed_after(&mut self.standing, next_update) => {
                    told_at = Instant::now();
                    let standing = self.standing.borrow_and_update().clone();
                    wire.say(&ToSwitch::Update(standing)).await?;
                }
                Ok(()) = self.course.changed() => {
                    let course = *self.course.borrow_and_update();
                    if course != Course::Serve && !leaving {
                        leaving = true;
                        wire.say(&ToSwitch::Farewell).await?;
                    }
                    if course == Course::End {
                        wire.close().await;
                        return Err(End::Done);
                    }
                }
                () = tokio::time::sleep_until((heard_at + SILENCE).into()) => {
                    return Err(Ended::Silent.into());
                }
            }
        }
    }

    async fn hear(&mut self, message: ToAgent) -> Result<(), End> {
        match message {
            ToAgent::Accepted(accepted) => self.accepted(accepted).await,
            ToAgent::Released => {
                let switch = self.switch.clone();
                self.tell(News::Released { switch }).await;
            }
            ToAgent::Alive | ToAgent::Unknown => {}
            ToAgent::Refused(_) | ToAgent::Moved => return Err(self.unless_refused(message)),
        }
        Ok(())
    }

    fn unless_refused(&self, message: ToAgent) -> End {
        match message {
            ToAgent::Refused(refused) => End::Refused(refused),
            ToAgent::Moved => End::Moved,
            _ => Ended::Protocol("the first answer is none to a registration").into(),
        }
    }

    /// From the server's own address, where it is one of this host's.
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for switch in lookup_host(&self.switch).await? {
            match self.connect_to(switch).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, switch: SocketAddr) -> io::Result<TcpStream> {
        let socket = match switch {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        let own = self.settings.address;
        let own = own.filter(|own| own.is_ipv4() == switch.is_ipv4());
        if let Some(own) = own {
            // Of another host: then the policy may allow it.
            let _ = socket.bind(SocketAddr::new(own, 0));
        }
        socket.connect(switch).await
    }

    fn register(&self) -> Register {
        let settings = &self.settings;
        Register {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pool: settings.pool.clone(),
            name: settings.name.clone(),
            address: self.ends.1,
            port: settings.port,
            mode: match settings.direct {
                Some(_) => Mode::Direct,
                None => Mode::Proxy,
            },
            standing: self.standing.borrow().clone(),
        }
    }

    async fn accepted(&self, accepted: Accepted) {
        let switch = self.switch.clone();
        let (at, own) = self.ends;
        let news = News::Accepted {
            switch,
            accepted,
            at,
            own,
        };
        self.tell(news).await;
    }

    async fn tell(&self, news: News) {
        let _ = self.news.send(news).await;
    }
}

/// The agent does not serve any more.
async fn turned(course: &mut watch::Receiver<Course>) {
    let _ = course.wait_for(|course| *course != Course::Serve).await;
}

async fn changed_after(
    standing: &mut watch::Receiver<Standing>,
    earliest: Instant,
) -> Result<(), watch::error::RecvError> {
    tokio::time::sleep_until(earliest.into()).await;
    standing.changed().await
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection in time")
}
