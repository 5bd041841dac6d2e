//! Asks a running switch over its admin interface.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use pointsman_config::policy::{BindAddr, Policy};

use super::{Exit, output, policy_file};
use crate::args::Target;
use crate::control::admin;
use crate::control::status::bind_word;

/// For the connection, and for each read of an answer that is at hand.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For the answer to a reload: certificates may lie on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 64 << 20;

/// The variable that holds the admin token where no file is named.
const TOKEN: &str = "POINTSMAN_TOKEN";

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Sends a request to the switch that is meant and reads the whole answer.
///
/// # Errors
/// The exit code; the reason has been told.
pub(super) fn ask(target: &Target, method: &str, path: &str) -> Result<Answer, Exit> {
    ask_at(&Door::of(target)?, method, path)
}

/// The same at a door that is known.
///
/// # Errors
/// The exit code; the reason has been told.
pub(super) fn ask_at(door: &Door, method: &str, path: &str) -> Result<Answer, Exit> {
    let mut stream = connect(Manner::Whole, door, method, path)?;
    let mut answer = Vec::new();
    let read = (&mut stream).take(MAX_ANSWER).read_to_end(&mut answer);
    read.and_then(|_| parse(&answer)).map_err(|error| {
        output::error(&format!("the switch does not answer: {error}"));
        Exit::Unreachable
    })
}

/// Where a switch can be asked, and the right to change something there.
#[derive(Debug)]
pub(super) struct Door {
    addresses: Vec<BindAddr>,
    token: Option<String>,
}

impl Door {
    /// The one that is meant.
    ///
    /// # Errors
    /// The exit code; the reason has been told.
    pub(super) fn of(target: &Target) -> Result<Self, Exit> {
        let token = own_token(target)?;
        if let Some(text) = &target.which.admin {
            let addresses = vec![address(text)?];
            return Ok(Self { addresses, token });
        }
        match policy_file(target.which.file.clone()) {
            None => Ok(Self::with(None, token)),
            Some(file) => match Policy::from_path(&file) {
                Ok(policy) => Ok(Self::of_policy(&policy, token)),
                // The switch would refuse this file, too.
                Err(report) => {
                    output::message(&report.render_text(output::color_err()));
                    Err(Exit::Invalid)
                }
            },
        }
    }

    /// Sends a request to the first address that answers; says nothing when none does.
    ///
    /// # Errors
    /// The last one.
    pub(super) fn try_send(&self, method: &str, path: &str) -> io::Result<Box<dyn Connection>> {
        let mut outcome = Err(io::ErrorKind::NotConnected.into());
        for address in &self.addresses {
            outcome = send(Manner::Stream, address, self.token.as_deref(), method, path);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// The host that it is at; `None`: this one.
    pub(super) fn host(&self) -> Option<IpAddr> {
        self.addresses.iter().find_map(|address| match address {
            BindAddr::Socket(socket) if !socket.ip().is_unspecified() => Some(socket.ip()),
            _ => None,
        })
    }

    /// That of a switch with this policy; who may read the token may use it.
    pub(super) fn of_policy(policy: &Policy, token: Option<String>) -> Self {
        let written = policy.admin.token.as_ref();
        let token = token.or_else(|| written.map(|token| token.expose().to_owned()));
        Self::with(policy.admin.listen.clone(), token)
    }

    fn with(listen: Option<BindAddr>, token: Option<String>) -> Self {
        let defaults = || {
            let paths = admin::default_paths();
            paths.into_iter().map(BindAddr::Unix).collect()
        };
        Self {
            addresses: listen.map_or_else(defaults, |listen| vec![listen]),
            token,
        }
    }
}

/// The token that the operator names.
///
/// # Errors
/// The exit code; the reason has been told.
pub(super) fn own_token(target: &Target) -> Result<Option<String>, Exit> {
    match &target.token_file {
        Some(file) => token_in(file).map(Some),
        None => Ok(std::env::var(TOKEN).ok().filter(|token| !token.is_empty())),
    }
}

fn address(text: &str) -> Result<BindAddr, Exit> {
    pointsman_config::value::parse_bind(text).map_err(|error| {
        output::error(&format!("--admin {text}: {}", error.message));
        Exit::Usage
    })
}

fn token_in(file: &Path) -> Result<String, Exit> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => {
            output::error(&format!("--token-file {}: {error}", file.display()));
            Err(Exit::Usage)
        }
    }
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// At once, with its length.
    Whole,
    /// Piece by piece.
    Stream,
}

/// A connection on which the request has been sent.
pub(super) trait Connection: Read + Write + Send {}

impl<S: Read + Write + Send> Connection for S {}

/// Sends a request; the answer is still to be read.
///
/// # Errors
/// The exit code; the reason has been told.
pub(super) fn connect(
    manner: Manner,
    door: &Door,
    method: &str,
    path: &str,
) -> Result<Box<dyn Connection>, Exit> {
    let mut failures = Vec::new();
    for address in &door.addresses {
        match send(manner, address, door.token.as_deref(), method, path) {
            Ok(stream) => return Ok(stream),
            Err(error) => failures.push(format!("{}: {error}", bind_word(address))),
        }
    }
    output::error(&format!(
        "no running switch answers ({})",
        failures.join("; ")
    ));
    output::message("help: name its policy file, or its admin address with --admin");
    Err(Exit::Unreachable)
}

fn send(
    manner: Manner,
    address: &BindAddr,
    token: Option<&str>,
    method: &str,
    path: &str,
) -> io::Result<Box<dyn Connection>> {
    let (mut stream, host) = open(address)?;
    let right = match token {
        Some(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("Authorization: Bearer {token}\r\n")
        }
        Some(_) => {
            return Err(io::Error::other(
                "the token has characters that it cannot have",
            ));
        }
        None => String::new(),
    };
    let version = match manner {
        Manner::Whole => "1.1",
        // Without a length it ends with the connection (RFC 9112, 6.3), and not in chunks.
        Manner::Stream => "1.0",
    };
    let request = format!(
        "{method} {path} HTTP/{version}\r\nHost: {host}\r\nConnection: close\r\n{right}\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

fn open(address: &BindAddr) -> io::Result<(Box<dyn Connection>, String)> {
    let socket = match address {
        BindAddr::Any(port) => ([127, 0, 0, 1], *port).into(),
        BindAddr::Socket(socket) => reachable(*socket),
        BindAddr::Unix(file) => {
            let stream = UnixStream::connect(file)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            return Ok((Box::new(stream), "localhost".to_owned()));
        }
    };
    let stream = TcpStream::connect_timeout(&socket, TIMEOUT)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok((Box::new(stream), socket.to_string()))
}

/// Who listens on every address is asked on the loopback, where looking takes no token.
fn reachable(socket: SocketAddr) -> SocketAddr {
    let here: IpAddr = match socket {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    match socket.ip().is_unspecified() {
        true => (here, socket.port()).into(),
        false => socket,
    }
}

/// In percent-encoding (RFC 3986 2.1).
pub(super) fn encoded(text: &OsStr) -> String {
    let encode = |&byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.as_bytes().iter().map(encode).collect()
}

/// A path with a query of these pairs.
pub(super) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encoded(OsStr::new(value)));
    let pairs: Vec<_> = pairs.iter().map(pair).collect();
    format!("{path}?{}", pairs.join("&"))
}

/// What a request that was not carried out comes down to.
pub(super) fn refused(answer: &Answer) -> Exit {
    output::error(answer.body.trim_end());
    match answer.status {
        400 | 404 | 422 => Exit::Invalid,
        401 | 403 | 409 | 429 => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// Takes a whole answer apart.
///
/// # Errors
/// It is none, or is cut off.
pub(super) fn parse(answer: &[u8]) -> io::Result<Answer> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer).map_err(|_| broken())?;
    let httparse::Status::Complete(head) = parsed else {
        return Err(broken());
    };
    let body = String::from_utf8_lossy(&answer[head..]).into_owned();
    let length = response
        .headers
        .iter()
        .find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|h| std::str::from_utf8(h.value).ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length != answer.len() - head) {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the answer is cut off",
        ));
    }
    Ok(Answer {
        status: response.code.ok_or_else(broken)?,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse(b"HTTP/1.1 422 X\r\nContent-Length: 3\r\n\r\nno\n").expect("is HTTP");
        assert_eq!((answer.status, answer.body.as_str()), (422, "no\n"));
    }

    #[test]
    fn a_path_is_written_so_that_it_is_one_word_of_a_request() {
        assert_eq!(encoded(OsStr::new("/a b/ü?&%")), "/a%20b/%C3%BC%3F%26%25");
        let path = with_query("/x", &[("a", "1&2"), ("b", "")]);
        assert_eq!(path, "/x?a=1%262&b=");
    }

    #[test]
    fn an_answer_that_is_cut_off_or_no_http_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno\n").is_err());
        assert!(parse(b"SSH-2.0-OpenSSH\r\n").is_err());
        assert!(parse(b"").is_err());
    }
}
