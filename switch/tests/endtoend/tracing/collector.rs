//! A collector: takes OTLP over HTTP and keeps the spans, decoded by the types of OpenTelemetry.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::client::Conn;
use crate::support::wait_until;

/// It listens until the test ends.
pub struct Collector {
    pub address: SocketAddr,
    /// What it answers with.
    pub status: Arc<AtomicU16>,
    spans: Arc<Mutex<Vec<Taken>>>,
}

/// A span, ids in hexadecimal, attributes as text.
#[derive(Debug, Clone)]
pub struct Taken {
    pub resource: BTreeMap<String, String>,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
    pub span: Span,
}

impl Taken {
    #[track_caller]
    pub fn get(&self, name: &str) -> &str {
        let found = self.attributes.get(name);
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.attributes))
    }

    pub fn took(&self) -> u64 {
        self.span.end_time_unix_nano - self.span.start_time_unix_nano
    }
}

impl Collector {
    pub fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into())
    }

    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let collector = Self {
            address: listener.local_addr().expect("it is bound"),
            status: Arc::new(AtomicU16::new(200)),
            spans: Arc::default(),
        };
        let (status, spans) = (collector.status.clone(), collector.spans.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                take(Conn::of(stream), &status, &spans);
            }
        });
        collector
    }

    /// `[trace]` of a policy.
    pub fn policy(&self, more: &str) -> String {
        policy_for(self.address, more)
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.spans.lock().expect("no test panics with it").clone()
    }

    /// The spans of a trace, once there are so many.
    #[track_caller]
    pub fn spans(&self, trace: &str, count: usize) -> Vec<Taken> {
        let of = || -> Vec<Taken> {
            let all = self.taken().into_iter();
            all.filter(|span| span.trace == trace).collect()
        };
        wait_until("the spans are exported", || of().len() >= count);
        of()
    }
}

pub fn policy_for(address: SocketAddr, more: &str) -> String {
    format!("[trace]\nendpoint = \"http://{address}/v1/traces\"\n{more}\n")
}

fn take(mut conn: Conn<std::net::TcpStream>, status: &AtomicU16, spans: &Mutex<Vec<Taken>>) {
    use std::io::Read as _;
    let mut head = Vec::new();
    while let Ok(line) = conn.line() {
        if line.is_empty() {
            break;
        }
        head.push(line.to_ascii_lowercase());
    }
    let Some(start) = head.first() else { return };
    assert_eq!(start, "post /v1/traces http/1.1");
    let field = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
    assert_eq!(field("content-type: "), Some("application/x-protobuf"));
    let length = field("content-length: ").expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    conn.0.read_exact(&mut body).expect("the whole message");
    let status = status.load(SeqCst);
    if status == 200 {
        let message = ExportTraceServiceRequest::decode(&*body).expect("a message of OTLP");
        spans
            .lock()
            .expect("no test panics with it")
            .extend(taken(message));
    }
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    let _ = conn.send(answer);
}

fn taken(message: ExportTraceServiceRequest) -> Vec<Taken> {
    let mut all = Vec::new();
    for one in message.resource_spans {
        let resource = texts(&one.resource.expect("a resource").attributes);
        for span in one.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Taken {
                resource: resource.clone(),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: texts(&span.attributes),
                span,
            });
        }
    }
    all
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| {
        let value = pair.value.as_ref().and_then(|value| value.value.clone());
        match value.expect("a value") {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            Value::BoolValue(flag) => flag.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let texts = attributes.iter();
    texts.map(|pair| (pair.key.clone(), text(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
