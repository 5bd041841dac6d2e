//! A client that sends exactly the bytes it is given and tells exactly what comes back.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::PATIENCE;

/// A connection to the switch.
pub struct Conn<S = TcpStream>(pub BufReader<S>);

/// An answer, read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub version: String,
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The codes of interim answers before it.
    pub interim: Vec<u16>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first field of this name, in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Conn {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }
}

impl<S: Read + Write> Conn<S> {
    pub fn of(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// GET and its answer.
    pub fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// POST with a body and its answer.
    pub fn post(&mut self, target: &str, body: &str) -> io::Result<Answer> {
        self.ask(&format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Any request and its answer.
    pub fn ask(&mut self, request: &str) -> io::Result<Answer> {
        self.send(request)?;
        match request.starts_with("HEAD ") {
            true => self.head(),
            false => self.answer(),
        }
    }

    /// Reads an answer with its body.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        if matches!(answer.status, 101 | 204 | 304) {
            return Ok(answer);
        }
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunked()?;
        } else if let Some(length) = answer.field("content-length") {
            answer.body = vec![0; length.parse().expect("a number")];
            self.0.read_exact(&mut answer.body)?;
        } else {
            self.0.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Reads an answer without a body.
    pub fn head(&mut self) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let mut answer = self.one_head()?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                interim.push(answer.status);
                continue;
            }
            answer.interim = interim;
            return Ok(answer);
        }
    }

    fn one_head(&mut self) -> io::Result<Answer> {
        let start = self.line()?;
        let (version, rest) = start.split_once(' ').unwrap_or((&start, ""));
        let mut answer = Answer {
            version: version.to_owned(),
            status: rest
                .get(..3)
                .and_then(|code| code.parse().ok())
                .unwrap_or(0),
            ..Answer::default()
        };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(answer);
            };
            answer
                .fields
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// One line without its end.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn chunked(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.trim(), 16)
                .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
            let start = body.len();
            body.resize(start + size, 0);
            self.0.read_exact(&mut body[start..])?;
            let end = self.line()?;
            assert_eq!(end, "", "a chunk ends in CRLF, and there is no trailer");
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Everything until the other side closes; what a reset cut off is left out.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }
}

/// A WebSocket (RFC 6455) of short text messages.
pub struct WebSocket(Conn);

impl WebSocket {
    /// Opens one at this path.
    pub fn open(address: SocketAddr, path: &str) -> Self {
        let mut conn = Conn::open(address);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let answer = conn.ask(&request).expect("an answer");
        assert_eq!(answer.status, 101, "{answer:?}");
        // The example of RFC 6455 section 1.3.
        let accept = answer.field("sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Self(conn)
    }

    /// Sends a message, which comes back.
    pub fn echo(&mut self, message: &str) -> io::Result<String> {
        assert!(message.len() < 126, "a short message");
        let mask = [7, 21, 42, 99];
        let mut frame = vec![0x81, 0x80 | message.len() as u8];
        frame.extend(mask);
        frame.extend(
            message
                .bytes()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        self.0.send(frame)?;
        let mut head = [0; 2];
        self.0.0.read_exact(&mut head)?;
        assert_eq!(head[0], 0x81, "one whole text message");
        let mut text = vec![0; usize::from(head[1])];
        self.0.0.read_exact(&mut text)?;
        String::from_utf8(text).map_err(io::Error::other)
    }
}
