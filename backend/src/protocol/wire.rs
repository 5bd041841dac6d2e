//! A session over a TCP connection.

use std::io;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::SILENCE;
use super::ended::Ended;
use super::message::Message;
use super::talk::Talk;

/// For what is written to be taken: the messages are short.
const WRITE_LIMIT: Duration = Duration::from_secs(3);
const CHUNK: usize = 2048;

/// One end of a session.
#[derive(Debug)]
pub struct Wire<S, H> {
    stream: TcpStream,
    talk: Talk<S, H>,
}

impl<S: Message, H: Message> Wire<S, H> {
    /// Of this connection.
    ///
    /// # Errors
    /// The connection has gone already.
    pub fn new(stream: TcpStream, talk: Talk<S, H>) -> io::Result<Self> {
        prepare(&stream)?;
        Ok(Self { stream, talk })
    }

    /// Waits for the next message. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// The session is over.
    pub async fn hear(&mut self) -> Result<H, Ended> {
        loop {
            if let Some(heard) = self.talk.next(Instant::now())? {
                return Ok(heard);
            }
            // The handshake's answer, and what has waited for it.
            while !self.talk.outgoing().is_empty() {
                self.write_some().await?;
            }
            let mut chunk = [0; CHUNK];
            let room = self.talk.room().min(CHUNK);
            match self.stream.read(&mut chunk[..room]).await {
                Ok(0) => return Err(self.early(Ended::Closed)),
                Ok(read) => self.talk.take(&chunk[..read]),
                Err(error) => return Err(self.early(error.into())),
            }
        }
    }

    /// Sends a message. Must not be dropped before it is done.
    ///
    /// # Errors
    /// The session is over, or the message is not within its bounds.
    pub async fn say(&mut self, message: &S) -> Result<(), Ended> {
        self.talk.say(message)?;
        let written = tokio::time::timeout(WRITE_LIMIT, async {
            while !self.talk.outgoing().is_empty() {
                self.write_some().await?;
            }
            Ok(())
        });
        written.await.map_err(|_| Ended::Silent)?
    }

    /// Ends in order: what was said is still read on the other side.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Whether the other side has proved to know the secret.
    pub fn is_proved(&self) -> bool {
        self.talk.is_proved()
    }

    /// Who goes in the middle of the handshake does not like ours.
    fn early(&self, ended: Ended) -> Ended {
        match ended {
            Ended::Closed if !self.talk.is_proved() => Ended::Unauthentic,
            ended => ended,
        }
    }

    /// What was written is taken off before anything else can happen.
    async fn write_some(&mut self) -> Result<(), Ended> {
        let written = self.stream.write(self.talk.outgoing()).await;
        match written {
            Ok(0) => Err(self.early(Ended::Closed)),
            Ok(written) => {
                self.talk.wrote(written);
                Ok(())
            }
            Err(error) => Err(self.early(error.into())),
        }
    }
}

/// A peer that is silently gone is found out by the system as well.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(1))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}
