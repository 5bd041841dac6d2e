/// `[trace]`
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Where spans are sent; `None`: nowhere.
    pub endpoint: Option<HttpUrl>,
    /// Of the traces that begin here, the part that is sampled: 0.0 to 1.0.
    pub sample: f64,
    /// Only peers that a listener trusts have their traces continued.
    pub trusted_only: bool,
    /// `service.name` of the spans.
    pub service: String,
}

/// An address in the web, without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// A name or an address; of IPv6 without brackets.
    pub host: String,
    /// The port, 80 if none was written.
    pub port: u16,
    /// Host and port as they were written.
    pub authority: String,
    /// Path and query.
    pub path: String,
}
