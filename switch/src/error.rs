//! What can go wrong with a request or connection: one vocabulary for metric, log and the
//! `Proxy-Status` field (RFC 9209).

/// On whose side it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's request or behaviour.
    Client,
    /// This switch: its policy, its limits.
    Switch,
    /// The backend.
    Endpoint,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $word:literal $side:ident $status:literal $proxy:literal;)*) => {
        /// Why a request was not served as its client wished.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The word in metrics, log and `Proxy-Status`.
            pub fn word(self) -> &'static str {
                match self { $(Reason::$variant => $word,)* }
            }

            /// On whose side it went wrong.
            pub fn side(self) -> Side {
                match self { $(Reason::$variant => Side::$side,)* }
            }

            /// The status code of the answer that the switch makes.
            pub fn status(self) -> u16 {
                match self { $(Reason::$variant => $status,)* }
            }

            /// The error type of RFC 9209 section 2.3 that comes nearest.
            pub fn proxy_error(self) -> &'static str {
                match self { $(Reason::$variant => $proxy,)* }
            }
        }
    };
}

reasons! {
    /// The request breaks the grammar of HTTP.
    BadRequest "bad_request" Client 400 "http_request_error";
    /// Two parsers may read the request differently.
    Ambiguous "ambiguous" Client 400 "http_request_error";
    /// The head did not arrive in time.
    HeadTimeout "head_timeout" Client 408 "http_request_error";
    /// The body did not arrive fast enough.
    BodyTimeout "body_timeout" Client 408 "http_request_error";
    /// The request target is longer than allowed.
    UriTooLong "uri_too_long" Client 414 "http_request_error";
    /// The head is larger than allowed.
    HeadTooLarge "head_too_large" Client 431 "http_request_error";
    /// The body is larger than allowed.
    BodyTooLarge "body_too_large" Client 413 "http_request_error";
    /// A transfer coding other than chunked.
    UnknownCoding "unknown_coding" Client 501 "http_request_error";
    /// A method that is not served here (CONNECT, TRACE).
    MethodRefused "method_refused" Client 405 "http_request_denied";
    /// An HTTP version that is not served here.
    VersionRefused "version_refused" Client 505 "http_request_error";
    /// An expectation other than 100-continue.
    ExpectationFailed "expectation_failed" Client 417 "http_request_error";
    /// The authority does not belong to this connection.
    Misdirected "misdirected" Client 421 "http_request_denied";
    /// The client went away before the answer was complete.
    ClientClosed "client_closed" Client 499 "http_request_error";
    /// The client did not take the answer in time.
    ClientStalled "client_stalled" Client 499 "http_request_error";
    /// No route takes the request.
    NoRoute "no_route" Switch 404 "destination_not_found";
    /// No backend of the pool can be tried.
    NoBackend "no_backend" Switch 503 "destination_unavailable";
    /// Every backend is at its limit, and so is the queue.
    QueueFull "queue_full" Switch 503 "connection_limit_reached";
    /// No backend had room in time.
    QueueTimeout "queue_timeout" Switch 503 "connection_limit_reached";
    /// A limit of the policy was reached.
    Limit "limit" Switch 429 "http_request_denied";
    /// The route's rate is used up.
    RateLimit "rate_limit" Switch 429 "http_request_denied";
    /// The switch is at its connection limit.
    Overload "overload" Switch 503 "connection_limit_reached";
    /// The whole exchange took longer than allowed.
    TotalTimeout "total_timeout" Switch 504 "http_response_timeout";
    /// A fault inside the switch.
    Internal "internal" Switch 500 "proxy_internal_error";
    /// The backend refused the connection.
    ConnectRefused "connect_refused" Endpoint 502 "connection_refused";
    /// The connection to the backend did not stand in time.
    ConnectTimeout "connect_timeout" Endpoint 504 "connection_timeout";
    /// The connection to the backend failed otherwise.
    ConnectFailed "connect_failed" Endpoint 502 "destination_ip_unroutable";
    /// TLS with the backend could not be agreed on.
    TlsFailed "tls_failed" Endpoint 502 "tls_protocol_error";
    /// The backend's certificate was not accepted.
    TlsCertificate "tls_certificate" Endpoint 502 "tls_certificate_error";
    /// A kept connection had ended before the request was taken up.
    StaleConnection "stale_connection" Endpoint 502 "connection_terminated";
    /// The backend ended the connection before its answer.
    Reset "reset" Endpoint 502 "connection_terminated";
    /// The backend did not answer in time.
    Timeout "timeout" Endpoint 504 "http_response_timeout";
    /// The backend's answer breaks the grammar of HTTP.
    BadResponse "bad_response" Endpoint 502 "http_protocol_error";
    /// The backend's head is larger than allowed.
    ResponseHeadTooLarge "response_head_too_large" Endpoint 502 "http_response_header_section_size";
    /// The backend's body ended early.
    Truncated "truncated" Endpoint 502 "http_response_incomplete";
}
