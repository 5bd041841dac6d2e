//! Asks a running switch over its admin interface.

use std::io::{self, Read, Write};
use std::net::TcpStream;
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
    let addresses = addresses(target)?;
    let mut failures = Vec::new();
    for address in &addresses {
        match exchange(address, method, path) {
            Ok(answer) => return Ok(answer),
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

fn addresses(target: &Target) -> Result<Vec<BindAddr>, Exit> {
    if let Some(text) = &target.admin {
        return match pointsman_config::value::parse_bind(text) {
            Ok(address) => Ok(vec![address]),
            Err(error) => {
                output::error(&format!("--admin {text}: {}", error.message));
                Err(Exit::Usage)
            }
        };
    }
    let listen = match policy_file(target.file.clone()) {
        None => None,
        Some(file) => match Policy::from_path(&file) {
            Ok(policy) => policy.admin.listen,
            // The switch would refuse this file, too.
            Err(report) => {
                output::message(&report.render_text(output::color_err()));
                return Err(Exit::Invalid);
            }
        },
    };
    let defaults = || {
        admin::default_paths()
            .into_iter()
            .map(BindAddr::Unix)
            .collect()
    };
    Ok(listen.map_or_else(defaults, |listen| vec![listen]))
}

fn exchange(address: &BindAddr, method: &str, path: &str) -> io::Result<Answer> {
    match address {
        BindAddr::Any(port) => tcp(([127, 0, 0, 1], *port).into(), method, path),
        BindAddr::Socket(socket) => tcp(*socket, method, path),
        BindAddr::Unix(file) => unix(file, method, path),
    }
}

fn tcp(socket: std::net::SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&socket, TIMEOUT)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    talk(stream, &socket.to_string(), method, path)
}

fn unix(file: &Path, method: &str, path: &str) -> io::Result<Answer> {
    let stream = UnixStream::connect(file)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    talk(stream, "localhost", method, path)
}

fn talk(mut stream: impl Read + Write, host: &str, method: &str, path: &str) -> io::Result<Answer> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> io::Result<Answer> {
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
    fn an_answer_that_is_cut_off_or_no_http_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno\n").is_err());
        assert!(parse(b"SSH-2.0-OpenSSH\r\n").is_err());
        assert!(parse(b"").is_err());
    }
}
