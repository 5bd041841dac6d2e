//! Field names that the switch treats in a way of their own, and the grammar of names and values
//! (RFC 9110 section 5).

use pointsman_config::policy::HeaderEdits;

/// A part of a head's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// From one byte offset to another. Heads are far below 4 GiB.
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Where `part` lies within `whole`; `part` must be a slice of `whole`.
    pub fn of(part: &[u8], whole: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        debug_assert!(start + part.len() <= whole.len());
        Self::new(start, start + part.len())
    }

    /// The bytes meant.
    pub fn in_bytes(self, whole: &[u8]) -> &[u8] {
        whole
            .get(self.start as usize..self.end as usize)
            .unwrap_or(&[])
    }

    /// The first byte's offset.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// The offset behind the last byte.
    pub fn end(self) -> usize {
        self.end as usize
    }
}

/// One field line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The name, as received.
    pub name: Span,
    /// The value without white space around it.
    pub value: Span,
    /// What the name means here.
    pub known: Known,
}

/// A value of a `Connection`-like list: is this member in it?
pub fn list_has(list: &[u8], member: &[u8]) -> bool {
    members(list).any(|found| found.eq_ignore_ascii_case(member))
}

/// The members of a comma-separated list, without white space and empty ones (RFC 9110 5.6.1).
pub fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether the operator takes away or replaces the fields of this name.
pub fn is_edited(edits: &HeaderEdits, name: &[u8]) -> bool {
    let is_name = |other: &String| name.eq_ignore_ascii_case(other.as_bytes());
    edits.remove.iter().any(is_name) || edits.set.iter().any(|(set, _)| is_name(set))
}

/// Whether these bytes are a token (RFC 9110 5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_tchar(*byte))
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether these bytes may stand in a field value: no control byte but the tab (RFC 9110 5.5).
pub fn is_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

macro_rules! known {
    ($($len:literal => { $($variant:ident $name:literal;)* })*) => {
        /// A field name that matters to the switch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Known { Other, $($($variant,)*)* }

        impl Known {
            /// What a name means, whatever its case.
            pub fn of(name: &[u8]) -> Known {
                match name.len() {
                    $($len => {
                        $(if name.eq_ignore_ascii_case($name) { return Known::$variant; })*
                        Known::Other
                    })*
                    _ => Known::Other,
                }
            }
        }
    };
}

known! {
    2 => { Te b"te"; }
    3 => { Via b"via"; }
    4 => { Host b"host"; Date b"date"; }
    6 => { Expect b"expect"; Cookie b"cookie"; }
    7 => { Upgrade b"upgrade"; Trailer b"trailer"; Referer b"referer"; }
    9 => { Forwarded b"forwarded"; }
    10 => { Connection b"connection"; KeepAlive b"keep-alive"; UserAgent b"user-agent";
        Tracestate b"tracestate"; }
    11 => { ClientCert b"client-cert"; Traceparent b"traceparent"; }
    12 => { MaxForwards b"max-forwards"; ProxyStatus b"proxy-status"; }
    14 => { ContentLength b"content-length"; HttpTwoSettings b"http2-settings"; }
    15 => { XForwardedFor b"x-forwarded-for"; IdempotencyKey b"idempotency-key"; PointsmanTrace b"pointsman-trace"; }
    16 => { ProxyConnection b"proxy-connection"; XForwardedHost b"x-forwarded-host"; }
    17 => { ClientCertChain b"client-cert-chain"; TransferEncoding b"transfer-encoding"; XForwardedProto b"x-forwarded-proto"; }
    21 => { LoadMetrics b"endpoint-load-metrics"; }
    25 => { LoadMetricsBinary b"endpoint-load-metrics-bin"; }
}

impl Known {
    /// Whether the field speaks of this connection only (RFC 9110 7.6.1).
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::Te
                | Known::Trailer
                | Known::TransferEncoding
                | Known::Upgrade
                | Known::HttpTwoSettings
        )
    }

    /// Whether a `Connection` list may not take the field away: the message would lose its meaning
    /// or the backend would be told less than the truth.
    pub fn is_vital(self) -> bool {
        matches!(
            self,
            Known::Host
                | Known::ContentLength
                | Known::Cookie
                | Known::ClientCert
                | Known::ClientCertChain
                | Known::Forwarded
                | Known::XForwardedFor
                | Known::XForwardedHost
                | Known::XForwardedProto
                | Known::Via
                | Known::MaxForwards
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_whatever_their_case() {
        assert_eq!(Known::of(b"Transfer-Encoding"), Known::TransferEncoding);
        assert_eq!(Known::of(b"HOST"), Known::Host);
        assert_eq!(Known::of(b"x-host"), Known::Other);
    }

    #[test]
    fn list_members_lose_their_white_space_and_empty_ones_are_skipped() {
        let found: Vec<_> = members(b" close , ,x-hop").collect();
        assert_eq!(found, [&b"close"[..], b"x-hop"]);
        assert!(list_has(b"Keep-Alive, UPGRADE", b"upgrade"));
    }
}
