//! `pointsman events`

use std::io::{self, BufRead as _, BufReader, Read};
use std::time::{Duration, Instant, SystemTime};

use super::client::{self, Answer, Door, Manner};
use super::{Exit, output};
use crate::args::Events;
use crate::control::clock::rfc3339;
use crate::control::journal::Happening;

/// For another process to take over: an upgrade, or a restart by the service manager.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a head or of a line at most.
const MAX_LINE: u64 = 1 << 20;

pub(super) fn run(args: &Events) -> Exit {
    let door = match Door::of(&args.target) {
        Ok(door) => door,
        Err(exit) => return exit,
    };
    let since = args
        .since
        .and_then(|since| SystemTime::now().checked_sub(since));
    let mut reader = Reader {
        args,
        since: since.map(rfc3339).unwrap_or_default(),
        seen: 0,
        begun: false,
    };
    loop {
        match reader.read(&door) {
            Ok(()) if !args.follow => return Exit::Ok,
            // The process has ended; the next one goes on where it was.
            Ok(()) => {}
            Err(exit) => return exit,
        }
        std::thread::sleep(PAUSE);
    }
}

struct Reader<'a> {
    args: &'a Events,
    since: String,
    seen: u64,
    begun: bool,
}

impl Reader<'_> {
    /// Reads and prints until the switch ends the answer.
    fn read(&mut self, door: &Door) -> Result<(), Exit> {
        let after = self.seen.to_string();
        let follow = if self.args.follow { "yes" } else { "no" };
        let query = [
            ("after", after.as_str()),
            ("since", self.since.as_str()),
            ("follow", follow),
        ];
        let path = client::with_query("/events", &query);
        let stream = self.connect(door, &path)?;
        let mut lines = BufReader::new(stream);
        let status = head(&mut lines).map_err(|error| failed(&error))?;
        if status != 200 {
            let mut body = String::new();
            let _ = lines.take(MAX_LINE).read_to_string(&mut body);
            return Err(client::refused(&Answer { status, body }));
        }
        self.begun = true;
        loop {
            let mut line = String::new();
            match (&mut lines).take(MAX_LINE).read_line(&mut line) {
                Ok(0) => return Ok(()),
                // It was killed; a new one may come.
                Err(_) if self.args.follow => return Ok(()),
                Err(error) => return Err(failed(&error)),
                Ok(_) => self.show(line.trim())?,
            }
        }
    }

    /// The first time at once or not at all; later another process may be on its way.
    fn connect(&self, door: &Door, path: &str) -> Result<Box<dyn client::Connection>, Exit> {
        let until = Instant::now() + PATIENCE;
        while self.begun && Instant::now() < until {
            if let Ok(stream) = door.try_send("GET", path) {
                return Ok(stream);
            }
            std::thread::sleep(PAUSE);
        }
        client::connect(Manner::Stream, door, "GET", path)
    }

    fn show(&mut self, line: &str) -> Result<(), Exit> {
        if line.is_empty() {
            return Ok(());
        }
        let Ok(event) = serde_json::from_str::<Happening>(line) else {
            output::error("this switch is of another version");
            return Err(Exit::Failed);
        };
        self.seen = self.seen.max(event.seq);
        let shown = match self.args.json {
            true => output::try_print(line),
            false => output::try_print(&render(&event, output::color_out())),
        };
        shown.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::Ok,
            _ => Exit::Failed,
        })
    }
}

fn render(event: &Happening, color: bool) -> String {
    let (paint, plain) = match event.level.as_str() {
        "warning" if color => ("\x1b[33m", "\x1b[0m"),
        _ => ("", ""),
    };
    // What follows the first line stands below it.
    let text = event.text.trim_end().replace('\n', "\n    ");
    format!("{}  {paint}{:16}{plain}  {text}", event.at, event.event)
}

/// The status; what follows is the body.
fn head(lines: &mut impl io::BufRead) -> io::Result<u16> {
    let mut status = None;
    loop {
        let mut line = String::new();
        if lines.take(MAX_LINE).read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        status = status.or_else(|| Some(line.split(' ').nth(1)?.parse().unwrap_or(0)));
    }
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn failed(error: &io::Error) -> Exit {
    output::error(&format!("the switch does not answer: {error}"));
    Exit::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_up_to_the_body() {
        let mut text = "HTTP/1.0 200 OK\r\nA: b\r\n\r\nbody".as_bytes();
        assert_eq!(head(&mut text).expect("it is one"), 200);
        assert_eq!(text, b"body");
        assert!(head(&mut "".as_bytes()).is_err());
    }

    #[test]
    fn an_event_is_one_line_and_what_belongs_to_it() {
        let event = Happening {
            at: "2026-11-28T03:00:00.000Z".to_owned(),
            ..Happening::warning("reload-refused", "error: no\n --> p.toml\n")
        };
        let shown = render(&event, false);
        let expected = "2026-11-28T03:00:00.000Z  reload-refused    error: no\n     --> p.toml";
        assert_eq!(shown, expected);
    }
}
