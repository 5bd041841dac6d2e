//! Values as nginx writes them.

use pointsman_config::value::{parse_duration, parse_rate, parse_size};

/// `30`, `30s`, `1m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Option<String> {
    let is_bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let text = if is_bare {
        format!("{text}s")
    } else {
        text.to_owned()
    };
    parse_duration(&text).is_ok().then_some(text)
}

/// `8192`, `16k`, `10m`, `1g`.
pub(super) fn size(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let units = [("k", "KiB"), ("m", "MiB"), ("g", "GiB")];
    let unit = units
        .iter()
        .find_map(|(unit, ours)| Some((lower.strip_suffix(unit)?, *ours)));
    let (number, unit) = unit.unwrap_or((&lower, "B"));
    let text = format!("{number}{unit}");
    parse_size(&text).is_ok().then_some(text)
}

/// `10r/s`, `30r/m`.
pub(super) fn rate(text: &str) -> Option<String> {
    let text = text.replace("r/", "/");
    parse_rate(&text).is_ok().then_some(text)
}

/// An address to listen on.
pub(super) fn bind(text: &str) -> String {
    if text.starts_with("unix:") {
        return text.to_owned();
    }
    if text.parse::<u16>().is_ok() {
        return format!(":{text}");
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
        _ => (text, "80"),
    };
    match host {
        "*" | "[::]" | "0.0.0.0" => format!(":{port}"),
        "localhost" => format!("127.0.0.1:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// A location with nginx's variables, as the policy language writes it: nothing where it knows none.
pub(super) fn location(text: &str, scheme: &str, name: &str) -> Option<String> {
    let mut out = text.replace("${", "$").replace('}', "");
    let known = [
        ("$http_host", "{host}"),
        ("$host", "{host}"),
        ("$server_name", name),
        ("$request_uri", "{uri}"),
        ("$document_uri", "{path}"),
        ("$uri", "{path}"),
        ("$is_args$query_string", "?{query}"),
        ("$is_args$args", "?{query}"),
        ("$query_string", "{query}"),
        ("$args", "{query}"),
        ("$scheme", scheme),
    ];
    for (variable, ours) in known {
        out = out.replace(variable, ours);
    }
    if out.starts_with('/') {
        out = format!("{scheme}://{{host}}{out}");
    }
    (!out.contains('$')).then_some(out)
}
