//! Spans as a message of OTLP.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as Written, Status, span, status,
};
use prost::Message as _;

use crate::trace::{Kind, Span, Value};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Whether it is known if the parent is another process's, and that it is (`Span.flags`).
const PARENT_IS_REMOTE: u32 = 0x300;
const PARENT_IS_LOCAL: u32 = 0x100;
const SAMPLED: u32 = 1;

/// An `ExportTraceServiceRequest` with these spans.
pub(super) fn encode(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let resource = Resource {
        attributes: vec![
            text("service.name", service.to_owned()),
            text("service.version", VERSION.to_owned()),
            text("host.name", host),
            number("process.pid", std::process::id().into()),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "pointsman".to_owned(),
        version: VERSION.to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = ScopeSpans {
        scope: Some(scope),
        spans: spans.into_iter().map(written).collect(),
        ..ScopeSpans::default()
    };
    let spans = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![spans],
    }
    .encode_to_vec()
}

/// How many spans the collector says that it has refused; an answer that is none says nothing.
pub(super) fn refused(answer: &[u8]) -> u64 {
    let response = ExportTraceServiceResponse::decode(answer).ok();
    let partial = response.and_then(|response| response.partial_success);
    partial.map_or(0, |partial| {
        partial.rejected_spans.try_into().unwrap_or_default()
    })
}

fn written(span: Span) -> Written {
    let (kind, origin) = match span.kind {
        Kind::Server => (span::SpanKind::Server, PARENT_IS_REMOTE),
        Kind::Client => (span::SpanKind::Client, PARENT_IS_LOCAL),
    };
    let event = |(at, name): (SystemTime, &str)| span::Event {
        time_unix_nano: nanos(at),
        name: name.to_owned(),
        ..span::Event::default()
    };
    let parent = match span.parent {
        0 => Vec::new(),
        parent => parent.to_be_bytes().to_vec(),
    };
    Written {
        trace_id: span.trace.0.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        trace_state: span.state,
        flags: SAMPLED | if parent.is_empty() { 0 } else { origin },
        parent_span_id: parent,
        name: span.name,
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        events: span.events.into_iter().map(event).collect(),
        status: span.error.map(|message| Status {
            message,
            code: status::StatusCode::Error.into(),
        }),
        ..Written::default()
    }
}

fn attribute((name, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(value) => text(name, value),
        Value::Number(value) => number(name, value),
        Value::Flag(value) => pair(name, any_value::Value::BoolValue(value)),
    }
}

fn text(name: &str, value: String) -> KeyValue {
    pair(name, any_value::Value::StringValue(value))
}

fn number(name: &str, value: i64) -> KeyValue {
    pair(name, any_value::Value::IntValue(value))
}

fn pair(name: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}
