//! What the switch tells: the stream of `GET /live`, taken up again when it ends.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::model::{Shape, Tick};
use crate::app::client::{self, Answer, Connection, Door, Manner};
use crate::app::{Exit, output};
use crate::control::orders::Done;

/// Bytes of a line at most: a shape of ten thousand backends is smaller.
const MAX_LINE: u64 = 16 << 20;
/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 1 << 20;
/// Between two tries to reach the switch again.
const PAUSE: Duration = Duration::from_millis(500);

/// What has come.
#[derive(Debug)]
pub(super) enum News {
    /// What there is.
    Shape(Box<Shape>),
    /// The figures.
    Tick(Box<Tick>),
    /// What became of an order, in words.
    Said(String),
    /// The switch does not answer.
    Lost(String),
}

/// The lines of a stream.
pub(super) type Lines = BufReader<Box<dyn Connection>>;

/// Opens the stream.
///
/// # Errors
/// The exit code; the reason has been told.
pub(super) fn open(door: &Door) -> Result<Lines, Exit> {
    let stream = client::connect(Manner::Stream, door, "GET", "/live")?;
    let mut lines = BufReader::new(stream);
    match head(&mut lines) {
        Ok(200) => Ok(lines),
        Ok(status) => {
            let mut body = String::new();
            let _ = lines.take(MAX_ANSWER).read_to_string(&mut body);
            Err(client::refused(&Answer { status, body }))
        }
        Err(error) => {
            output::error(&format!("the switch does not answer: {error}"));
            Err(Exit::Unreachable)
        }
    }
}

/// Passes on what comes, from a thread of its own.
pub(super) fn spawn(lines: Lines, door: Arc<Door>, sender: Sender<News>) {
    std::thread::spawn(move || {
        let mut stream = Some(lines);
        loop {
            let followed = match stream.take() {
                Some(lines) => follow(lines, &sender),
                None => again(&door).and_then(|lines| follow(lines, &sender)),
            };
            let why = match followed {
                Ok(()) => return,
                Err(error) => error.to_string(),
            };
            if sender.send(News::Lost(why)).is_err() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    });
}

fn again(door: &Door) -> io::Result<Lines> {
    let mut lines = BufReader::new(door.try_send("GET", "/live")?);
    match head(&mut lines)? {
        200 => Ok(lines),
        status => Err(io::Error::other(format!("status {status}"))),
    }
}

/// Follows one stream to its end; `Ok`: nobody listens any more.
fn follow(mut lines: Lines, sender: &Sender<News>) -> io::Result<()> {
    let mut event = String::new();
    loop {
        let mut line = String::new();
        if (&mut lines).take(MAX_LINE).read_line(&mut line)? == 0 {
            return Err(io::Error::other("the switch has ended the stream"));
        }
        let line = line.trim_end();
        if let Some(word) = line.strip_prefix("event: ") {
            word.clone_into(&mut event);
        } else if let Some(data) = line.strip_prefix("data: ")
            && let Some(news) = read(&event, data)?
            && sender.send(news).is_err()
        {
            return Ok(());
        }
    }
}

/// What an event says; `None`: nothing that is shown here.
pub(super) fn read(event: &str, data: &str) -> io::Result<Option<News>> {
    Ok(match event {
        "shape" => Some(News::Shape(serde_json::from_str(data)?)),
        "tick" => Some(News::Tick(serde_json::from_str(data)?)),
        _ => None,
    })
}

/// Asks for something else than the stream.
pub(super) fn ask(door: &Door, method: &str, path: &str) -> io::Result<Answer> {
    let stream = door.try_send(method, path)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    client::parse(&answer)
}

/// What became of an order, in words.
pub(super) fn said(answer: &Answer) -> String {
    match serde_json::from_str::<Done>(&answer.body) {
        Ok(done) if answer.status == 200 => done.text,
        _ => format!("refused: {}", answer.body.trim()),
    }
}

/// The status of an answer whose body comes next.
fn head(lines: &mut impl BufRead) -> io::Result<u16> {
    let mut status = 0;
    for number in 0..128 {
        let mut line = String::new();
        if lines.take(MAX_ANSWER).read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim_end().is_empty() {
            return Ok(status);
        }
        if number == 0 {
            let word = line.split(' ').nth(1);
            status = word.and_then(|word| word.parse().ok()).unwrap_or(0);
        }
    }
    Err(io::Error::other("the answer is not HTTP"))
}
