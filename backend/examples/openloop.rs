//! `openloop ADDR CONNECTIONS RATE SECONDS`: asks for `/1k` at a fixed total rate over keep-alive
//! connections, one thread each.
//!
//! A time is counted from the moment the request was due, so that a stalled server cannot hide the
//! requests that it kept from being sent (coordinated omission). Prints
//! `RESULT requests elapsed_us p50 p99 errors`, times in microseconds.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Until the first request, so that every thread is ready for it.
const START: Duration = Duration::from_millis(200);
/// Bytes of an answer at most.
const MAX_ANSWER: usize = 16 << 10;

fn main() -> ExitCode {
    match Args::read().and_then(|args| run(&args)) {
        Ok(line) => {
            let told = writeln!(io::stdout(), "{line}");
            ExitCode::from(u8::from(told.is_err()))
        }
        Err(why) => {
            let _ = writeln!(io::stderr(), "error: {why}");
            ExitCode::from(2)
        }
    }
}

struct Args {
    addr: String,
    connections: u32,
    rate: f64,
    seconds: f64,
}

impl Args {
    fn read() -> Result<Self, Box<dyn Error>> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [addr, connections, rate, seconds] = args.as_slice() else {
            return Err("usage: openloop ADDR CONNECTIONS RATE SECONDS".into());
        };
        let args = Self {
            addr: addr.clone(),
            connections: connections.parse()?,
            rate: rate.parse()?,
            seconds: seconds.parse()?,
        };
        let sound = args.connections > 0 && args.rate >= 1.0 && (0.0..1e6).contains(&args.seconds);
        if sound {
            Ok(args)
        } else {
            Err("connections, rate and seconds must be positive".into())
        }
    }
}

fn run(args: &Args) -> Result<String, Box<dyn Error>> {
    let gap = Duration::from_secs_f64(f64::from(args.connections) / args.rate);
    let start = Instant::now() + START;
    let end = start + Duration::from_secs_f64(args.seconds);
    let clients: Vec<_> = (0..args.connections)
        .map(|number| {
            let addr = args.addr.clone();
            let due = start + gap * number / args.connections;
            thread::spawn(move || client(&addr, due, gap, end))
        })
        .collect();
    let (mut times, mut errors) = (Vec::new(), 0);
    for client in clients {
        let (mut got, failed) = client.join().map_err(|_| "a client thread panicked")?;
        times.append(&mut got);
        errors += u32::from(failed);
    }
    let took = start.elapsed().as_micros();
    times.sort_unstable();
    let at = |share: f64| {
        times
            .get((times.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0)
    };
    Ok(format!(
        "RESULT {} {took} {} {} {errors}",
        times.len(),
        at(0.5),
        at(0.99)
    ))
}

/// The times of one connection, and whether it failed before its end.
fn client(addr: &str, mut due: Instant, gap: Duration, end: Instant) -> (Vec<u64>, bool) {
    // Sleeps end up to 50 us late otherwise; a failure only makes the figures coarser.
    let _ = rustix::thread::set_current_timer_slack(NonZero::new(1));
    let mut times = Vec::new();
    let Ok(mut stream) = connect(addr) else {
        return (times, true);
    };
    let request = format!("GET /1k HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut buffer = vec![0; MAX_ANSWER];
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if exchange(&mut stream, request.as_bytes(), &mut buffer).is_none() {
            return (times, true);
        }
        times.push(due.elapsed().as_micros() as u64);
        due += gap;
    }
    (times, false)
}

fn connect(addr: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// One request and its whole answer; `None`: it is not 200, or has no length, or broke off.
fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> Option<()> {
    stream.write_all(request).ok()?;
    let (mut have, mut need) = (0, None);
    while need.is_none_or(|need| have < need) {
        let read = stream
            .read(&mut buffer[have..])
            .ok()
            .filter(|read| *read > 0)?;
        have += read;
        if need.is_none() {
            need = whole(&buffer[..have])?;
        }
    }
    Some(())
}

/// How long the answer is; `Some(None)`: its head is not whole yet.
fn whole(bytes: &[u8]) -> Option<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Some(None);
    };
    let text = std::str::from_utf8(&bytes[..head])
        .ok()?
        .to_ascii_lowercase();
    let good = text.starts_with("http/1.1 200");
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))?;
    good.then(|| Some(Some(head + 4 + length.trim().parse::<usize>().ok()?)))?
}
