use std::net::Ipv6Addr;

use super::{Unfit, parse_host};
use crate::policy::HttpUrl;
use crate::suggest::quoted;

/// The longest URL in a policy, in bytes.
const MAX_URL: usize = 2048;

/// Reads a URL of the scheme `http` (RFC 9110 4.2.1), such as `http://collector:4318/v1/traces`.
pub fn parse_http_url(text: &str) -> Result<HttpUrl, Unfit> {
    let unfit = || {
        Unfit::new(format!("{} is not a URL", quoted(text)))
            .help("write \"http://collector:4318/v1/traces\"")
    };
    if text.starts_with("https://") {
        return Err(Unfit::new("TLS is not spoken here").help(
            "have a collector on this host take it in over http:// and pass it on over TLS",
        ));
    }
    let rest = text.strip_prefix("http://").ok_or_else(unfit)?;
    let plain = rest.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain || text.len() > MAX_URL || rest.contains(['#', '@', '"', '\\']) {
        return Err(unfit());
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = split(authority).ok_or_else(unfit)?;
    Ok(HttpUrl {
        host,
        port,
        authority: authority.to_owned(),
        path: match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        },
    })
}

fn split(authority: &str) -> Option<(String, u16)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let host = host.parse::<Ipv6Addr>().ok()?.to_string();
        return match rest.strip_prefix(':') {
            Some(text) => Some((host, port(text)?)),
            None if rest.is_empty() => Some((host, 80)),
            None => None,
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, text)) => (host, port(text)?),
        None => (authority, 80),
    };
    let is_name = !host.starts_with('*') && parse_host(host).is_ok();
    is_name.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, host, port, path) in [
            (
                "http://collector:4318/v1/traces",
                "collector",
                4318,
                "/v1/traces",
            ),
            ("http://10.0.0.1", "10.0.0.1", 80, "/"),
            ("http://[::1]:4318/a?b=c", "::1", 4318, "/a?b=c"),
            ("http://[::1]?b", "::1", 80, "/?b"),
        ] {
            let url = parse_http_url(text).unwrap();
            let got = (url.host.as_str(), url.port, url.path.as_str());
            assert_eq!(got, (host, port, path), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_url_is_refused() {
        for text in [
            "",
            "collector:4318",
            "http://",
            "http:///v1",
            "https://collector",
            "http://a:0/",
            "http://a:99999/",
            "http://a b/",
            "http://u@a/",
            "http://[::1",
            "http://*.a/",
            "http://a/#b",
        ] {
            assert!(parse_http_url(text).is_err(), "{text}");
        }
    }
}
