//! Servers that do what no decent server does.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::client::Conn;
use crate::support::PATIENCE;

/// A server whose every connection is served by a function of the test.
pub struct Scripted {
    pub address: SocketAddr,
    pub log: Log,
}

/// What a scripted server notes.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, line: impl Into<String>) {
        self.0
            .lock()
            .expect("no test panics within")
            .push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no test panics within").clone()
    }
}

impl Scripted {
    /// Serves each connection on a thread of its own for as long as the test program lives.
    pub fn start(serve: impl Fn(Conn, &Log) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (address, log) = (listener.local_addr().unwrap(), Log::default());
        let (serve, noted) = (Arc::new(serve), log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, noted) = (serve.clone(), noted.clone());
                std::thread::spawn(move || serve(ready(stream), &noted));
            }
        });
        Self { address, log }
    }

    /// Reads requests one after the other and gives each its answer.
    pub fn answering(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |mut conn, log| {
            while let Some(request) = Request::read(&mut conn) {
                log.add(request.start.clone());
                if conn.send(answer(&request)).is_err() {
                    return;
                }
            }
        })
    }
}

fn ready(stream: TcpStream) -> Conn {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Conn::of(stream)
}

/// A request as a server got it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The first line.
    pub start: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The next one; `None` when there is none.
    pub fn read(conn: &mut Conn) -> Option<Self> {
        let start = conn.line().ok()?;
        let mut fields = Vec::new();
        while let Some((name, value)) = conn.line().ok()?.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            start,
            fields,
            body: Vec::new(),
        };
        request.read_body(conn)?;
        Some(request)
    }

    fn read_body(&mut self, conn: &mut Conn) -> Option<()> {
        use std::io::Read as _;
        if self.field("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&conn.line().ok()?, 16).ok()?;
                let start = self.body.len();
                self.body.resize(start + size, 0);
                conn.0.read_exact(&mut self.body[start..]).ok()?;
                conn.line().ok()?;
                if size == 0 {
                    return Some(());
                }
            }
        }
        let length = self.field("content-length").unwrap_or("0").parse().ok()?;
        self.body = vec![0; length];
        conn.0.read_exact(&mut self.body).ok()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// 200 with this body.
pub fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
