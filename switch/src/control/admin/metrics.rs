//! `GET /metrics`

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue, VARY};

use super::content::Answer;
use super::site::respond;
use crate::metrics::Hub;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// In the format of OpenMetrics for those who would rather have that one, which has exemplars.
pub(super) fn answer(hub: &Hub, fields: &HeaderMap) -> Answer {
    let mut answer = match prefers_open_metrics(fields) {
        true => respond(StatusCode::OK, OPEN_METRICS, hub.encode_open_metrics()),
        false => respond(StatusCode::OK, PROMETHEUS, hub.encode()),
    };
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    answer
}

/// RFC 9110, 12.5.1; of ranges, `text/*` and `*/*` mean the format of Prometheus.
fn prefers_open_metrics(fields: &HeaderMap) -> bool {
    let values = fields.get_all(ACCEPT).iter();
    let members = values.filter_map(|value| value.to_str().ok());
    let (mut open, mut plain) = (0.0, 0.0);
    for member in members.flat_map(|value| value.split(',')) {
        let mut parts = member.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let mut parameters = parts.filter_map(|part| part.split_once('='));
        let weight = parameters.find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let weight = weight.and_then(|(_, weight)| weight.trim().parse().ok());
        let weight: f64 = weight.unwrap_or(1.0);
        if kind.eq_ignore_ascii_case("application/openmetrics-text") {
            open = weight.max(open);
        } else if kind.eq_ignore_ascii_case("text/plain") {
            plain = weight.max(plain);
        }
    }
    open > 0.0 && open >= plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_would_rather_have_open_metrics_gets_it() {
        for (accept, open) in [
            ("", false),
            ("*/*", false),
            ("text/plain", false),
            ("application/openmetrics-text", true),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1",
                true,
            ),
            (
                "text/plain;version=0.0.4;q=0.5, application/openmetrics-text; q=0.3",
                false,
            ),
            ("application/openmetrics-text;q=0", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_open_metrics(&fields), open, "{accept}");
        }
    }
}
