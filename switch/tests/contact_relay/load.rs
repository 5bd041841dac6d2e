//! Servers at the holders, and what the client does meanwhile.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::lab::{Host, Lab, uninterrupted};
use crate::support::{Backend, PATIENCE};

/// No answer takes that long, but where the relay loses it.
const STALL: Duration = Duration::from_secs(3);

const WEB: u16 = 8080;
const BULK: u16 = 9000;
/// Bytes of the long transfers.
pub const DOWNLOAD: usize = 50_000_000;
pub const UPLOAD: usize = 20_000_000;
/// Of which the long transfers are repetitions: no power of two, so that a gap shows.
const PIECE: usize = 65_521;

/// Answers its name to requests, and moves bytes.
pub struct Servers {
    _web: Backend,
}

impl Servers {
    pub fn start(lab: &Lab, host: Host, name: &'static str) -> Self {
        let everywhere = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let bulk = lab.within(host, || TcpListener::bind(everywhere(BULK)).unwrap());
        std::thread::spawn(move || {
            for stream in bulk.incoming().map_while(Result::ok) {
                std::thread::spawn(move || serve_bulk(stream));
            }
        });
        let web = lab.within(host, || Backend::start_at(name, everywhere(WEB)));
        Self { _web: web }
    }
}

fn serve_bulk(mut stream: TcpStream) -> io::Result<()> {
    let mut wish = [0];
    stream.read_exact(&mut wish)?;
    if wish == *b"d" {
        return send_pattern(&mut stream, DOWNLOAD, |_| {});
    }
    let received = check_pattern(&mut stream, UPLOAD, |_| {});
    let word = if received.is_ok() { b"whole" } else { b"wrong" };
    stream.write_all(word)
}

fn piece() -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..PIECE).map(next).collect()
}

/// `pace` is told how much is left, and may wait.
fn send_pattern(stream: &mut TcpStream, bytes: usize, pace: impl Fn(usize)) -> io::Result<()> {
    let (piece, mut left) = (piece(), bytes);
    while left > 0 {
        let now = left.min(PIECE);
        stream.write_all(&piece[..now])?;
        left -= now;
        pace(left);
    }
    Ok(())
}

fn check_pattern(stream: &mut TcpStream, bytes: usize, pace: impl Fn(usize)) -> io::Result<()> {
    let (piece, mut left, mut buffer) = (piece(), bytes, vec![0; PIECE]);
    while left > 0 {
        let now = left.min(PIECE);
        stream.read_exact(&mut buffer[..now])?;
        if buffer[..now] != piece[..now] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        left -= now;
        pace(left);
    }
    Ok(())
}

/// Everything that the client does until it is told to end.
pub struct Load {
    going: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    kept: JoinHandle<Vec<io::Result<usize>>>,
    fresh: Vec<JoinHandle<Fresh>>,
    download: JoinHandle<io::Result<()>>,
    upload: JoinHandle<io::Result<()>>,
    served: Arc<AtomicUsize>,
}

/// What became of it.
pub struct Told {
    /// Of each kept connection: the answers of the old holder.
    pub kept: Vec<io::Result<usize>>,
    pub fresh: Fresh,
    pub download: io::Result<()>,
    pub upload: io::Result<()>,
}

/// Connections of one request each.
#[derive(Debug, Default)]
pub struct Fresh {
    pub old: usize,
    pub new: usize,
    pub failed: usize,
    pub slowest: Duration,
    /// Those of the old holder after the first one of the new one.
    pub late: usize,
}

impl Load {
    /// 20 kept connections, a long download and a long upload, which last until after the handover, and
    /// a new connection each millisecond. Returns when all are under way.
    pub fn start(lab: &Lab, contact: IpAddr) -> Self {
        let going = Arc::new(AtomicBool::new(true));
        let over = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let (started, ready) = channel();
        let (flag, sender) = (going.clone(), started.clone());
        let kept = lab.spawn(Host::Client, move || {
            let kept: Vec<Kept> = (0..20).map(|_| Kept::open(contact)).collect();
            sender.send(()).unwrap();
            ask_all(kept, &flag)
        });
        let (flag, sender) = (over.clone(), started.clone());
        let download = lab.spawn(Host::Client, move || {
            let mut stream = TcpStream::connect((contact, BULK))?;
            stream.set_read_timeout(Some(STALL))?;
            stream.write_all(b"d")?;
            let _ = sender.send(());
            check_pattern(&mut stream, DOWNLOAD, |left| {
                pace(left, DOWNLOAD, Duration::from_millis(4), &flag);
            })
        });
        let flag = over.clone();
        let upload = lab.spawn(Host::Client, move || {
            upload(contact, &flag, || {
                let _ = started.send(());
            })
        });
        for _ in 0..3 {
            ready.recv_timeout(PATIENCE).unwrap();
        }
        let fresh = (0..4).map(|_| {
            let (flag, served) = (going.clone(), served.clone());
            lab.spawn(Host::Client, move || connect_anew(contact, &flag, &served))
        });
        Self {
            fresh: fresh.collect(),
            going,
            over,
            kept,
            download,
            upload,
            served,
        }
    }

    /// Connections of one request that were served so far.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// The handover is over: waits for the transfers, and ends the rest.
    pub fn end(self) -> Told {
        self.over.store(true, Ordering::Relaxed);
        let download = self.download.join().unwrap();
        let upload = self.upload.join().unwrap();
        self.going.store(false, Ordering::Relaxed);
        let mut fresh = Fresh::default();
        for thread in self.fresh {
            fresh.add(&thread.join().unwrap());
        }
        let kept = self.kept.join().unwrap();
        Told {
            kept,
            fresh,
            download,
            upload,
        }
    }
}

impl Fresh {
    fn add(&mut self, other: &Self) {
        self.old += other.old;
        self.new += other.new;
        self.failed += other.failed;
        self.late += other.late;
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// Slowly; and the last quarter is for after the handover, however long that takes.
fn pace(left: usize, of: usize, pause: Duration, over: &AtomicBool) {
    std::thread::sleep(pause);
    let until = Instant::now() + 2 * PATIENCE;
    while left < of / 4 && !over.load(Ordering::Relaxed) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn upload(contact: IpAddr, over: &AtomicBool, started: impl FnOnce()) -> io::Result<()> {
    let mut stream = TcpStream::connect((contact, BULK))?;
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    stream.write_all(b"u")?;
    started();
    send_pattern(&mut stream, UPLOAD, |left| {
        pace(left, UPLOAD, Duration::from_millis(9), over);
    })?;
    stream.shutdown(Shutdown::Write)?;
    let mut word = String::new();
    stream.read_to_string(&mut word)?;
    if word == "whole" {
        return Ok(());
    }
    Err(io::Error::other(format!("the server says {word:?}")))
}

/// Asks on every connection in turn; a broken one is not asked again.
fn ask_all(mut kept: Vec<Kept>, going: &AtomicBool) -> Vec<io::Result<usize>> {
    let mut told: Vec<io::Result<usize>> = kept.iter().map(|_| Ok(0)).collect();
    // One that stalls says enough.
    while going.load(Ordering::Relaxed) && told.iter().any(Result::is_ok) {
        for (connection, told) in kept.iter_mut().zip(&mut told) {
            let Ok(count) = told else { continue };
            match connection.ask() {
                Ok(name) if name == "old" => *count += 1,
                Ok(name) => *told = Err(io::Error::other(format!("answered by {name:?}"))),
                Err(error) => *told = Err(error),
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    told
}

/// One each four milliseconds.
fn connect_anew(contact: IpAddr, going: &AtomicBool, served: &AtomicUsize) -> Fresh {
    let mut told = Fresh::default();
    while going.load(Ordering::Relaxed) {
        let start = Instant::now();
        match crate::support::get((contact, WEB).into(), "/").1.as_str() {
            "old\n" => {
                told.old += 1;
                told.late += usize::from(told.new > 0);
            }
            "new\n" => told.new += 1,
            _ => told.failed += 1,
        }
        served.fetch_add(1, Ordering::Relaxed);
        told.slowest = told.slowest.max(start.elapsed());
        std::thread::sleep(Duration::from_millis(4).saturating_sub(start.elapsed()));
    }
    told
}

/// A connection to a web server that is kept. (That of the tests' common part sends a request in
/// pieces, which waits for the other end.)
pub struct Kept(TcpStream);

impl Kept {
    pub fn open(contact: IpAddr) -> Self {
        let stream = TcpStream::connect((contact, WEB)).unwrap();
        stream.set_read_timeout(Some(STALL)).unwrap();
        Self(stream)
    }

    /// Which server answers.
    pub fn ask(&mut self) -> io::Result<String> {
        self.0
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let (mut answer, mut buffer) = (String::new(), [0; 1024]);
        while !answer.ends_with("old\n") && !answer.ends_with("new\n") {
            let length = uninterrupted(|| self.0.read(&mut buffer))?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        Ok(answer[answer.len() - 4..].trim_end().to_owned())
    }
}
