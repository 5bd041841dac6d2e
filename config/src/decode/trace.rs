use super::reader::Reader;
use super::top::non_empty;
use crate::diagnostics::Diagnostics;
use crate::policy::Trace;
use crate::value::parse_http_url;

/// Decodes `[trace]`, where it is written.
pub(super) fn trace(root: &Reader<'_>, d: &mut Diagnostics) -> Option<Trace> {
    root.find("trace")?;
    let reader = root.settings(d, "trace");
    Some(Trace {
        endpoint: reader.text(d, "endpoint", parse_http_url),
        sample: reader.share(d, "sample").unwrap_or_default(),
        trusted_only: reader.word(d, "parents") == Some("trusted"),
        service: reader.text(d, "service", non_empty).unwrap_or_default(),
    })
}
