use super::{Format, Key, Kind, Section};

/// Traces.
pub static TRACE: Section = Section {
    name: "trace",
    doc: "Distributed traces (W3C Trace Context, OpenTelemetry). With this table every request belongs to \
          a trace: to that of its `traceparent` field, or else to a new one, which backends are told \
          of. Without it, `traceparent` and `tracestate` pass as any other field.",
    keys: &[
        Key::new(
            "endpoint",
            Kind::Text(Format::HttpUrl),
            "Where spans of sampled requests are sent: a collector that takes OTLP over HTTP as \
             protobuf. Without it none are sent.",
            "\"http://collector:4318/v1/traces\"",
        ),
        Key::new(
            "sample",
            Kind::Share,
            "How many of the traces that begin here are sampled. One that began elsewhere is \
             sampled if its `traceparent` says so.",
            "\"0.1%\"",
        )
        .default("\"1%\""),
        Key::new(
            "parents",
            Kind::Word(&[
                ("all", "whoever sends a valid one"),
                (
                    "trusted",
                    "the peers that the listener names in `trusted`; others begin a new trace",
                ),
            ]),
            "Whose `traceparent` is continued.",
            "\"trusted\"",
        )
        .default("\"all\""),
        Key::new(
            "service",
            Kind::Text(Format::Free),
            "The name of the switch in traces (`service.name`).",
            "\"edge\"",
        )
        .default("\"pointsman\""),
    ],
};
