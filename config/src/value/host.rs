use super::Unfit;
use crate::policy::HostPattern;
use crate::suggest::quoted;

/// Reads `shop.example.com` or `*.example.com`, in lower case. International names are written in
/// their ASCII form (RFC 5890).
pub fn parse_host(text: &str) -> Result<HostPattern, Unfit> {
    let unfit = || Unfit::new(format!("{} is not a host", quoted(text)));
    if !text.is_ascii() {
        return Err(unfit().help("write an international name in its ASCII form: \"xn--...\""));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return Err(unfit().help(format!("write the host alone: {}", quoted(host))));
    }
    if let Some((host, path)) = text.split_once('/') {
        let help = format!("write {} and put \"/{path}\" into `path`", quoted(host));
        return Err(unfit().help(help));
    }
    let lower = text.to_ascii_lowercase();
    let ipv6 = lower
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = ipv6 {
        let address: Result<std::net::Ipv6Addr, _> = address.parse();
        return address
            .map(|address| HostPattern::Exact(format!("[{address}]")))
            .map_err(|_| unfit());
    }
    if let Some((host, _)) = lower.rsplit_once(':') {
        let help = format!("write {}: a host matches on every port", quoted(host));
        return Err(unfit().help(help));
    }
    if lower == "*" {
        return Err(unfit().help("leave `host` out to match every host"));
    }
    let (name, wildcard) = match lower.strip_prefix("*.") {
        Some(rest) => (rest, true),
        None => (lower.as_str(), false),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.contains('*') {
        return Err(unfit().help("`*` stands only for whole labels in front: \"*.example.com\""));
    }
    if !is_dns_name(name) {
        return Err(unfit().help("write \"shop.example.com\" or \"*.example.com\""));
    }
    let pattern = if wildcard {
        HostPattern::Wildcard
    } else {
        HostPattern::Exact
    };
    Ok(pattern(name.to_owned()))
}

/// The name or address of one server, without a port.
pub fn parse_server_name(text: &str) -> Result<String, Unfit> {
    let name = text.to_ascii_lowercase();
    match is_dns_name(&name) || name.parse::<std::net::IpAddr>().is_ok() {
        true => Ok(name),
        false => Err(Unfit::new(format!(
            "`{text}` is no host name and no IP address"
        ))),
    }
}

/// Labels of letters, digits, `-` and `_`, 63 at most each, 253 in all (RFC 1035 2.3.4; the
/// underscore is common inside clusters).
pub(super) fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_kept_in_lower_case_without_a_final_dot() {
        let exact = |name: &str| Ok(HostPattern::Exact(name.to_owned()));
        assert_eq!(parse_host("Shop.Example.com."), exact("shop.example.com"));
        assert_eq!(parse_host("10.0.0.1"), exact("10.0.0.1"));
        assert_eq!(parse_host("[0:0::1]"), exact("[::1]"));
        let wildcard = HostPattern::Wildcard("example.com".to_owned());
        assert_eq!(parse_host("*.example.com"), Ok(wildcard));
    }

    #[test]
    fn hints_name_what_was_probably_meant() {
        let help = |text| parse_host(text).unwrap_err().help.unwrap();
        assert!(help("a.example:8080").contains("`a.example`"));
        assert!(help("https://a.example/x").contains("`a.example`"));
        assert!(help("a.example/x").contains("\"/x\" into `path`"));
        assert!(help("*").contains("leave `host` out"));
        assert!(help("a.*.com").contains("in front"));
        assert!(help("bücher.example").contains("xn--"));
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a b",
            "*.",
            "[::1",
            "[x]",
            &"a".repeat(64),
        ] {
            assert!(parse_host(text).is_err(), "{text:?}");
        }
    }
}
