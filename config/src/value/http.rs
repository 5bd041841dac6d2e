use std::ops::RangeInclusive;

use super::{Unfit, split_number};
use crate::policy::ValuePattern;
use crate::suggest::quoted;

/// The longest value of a header field, cookie or parameter in a policy, in bytes.
const MAX_VALUE: usize = 4096;

/// Fields that frame a message or concern one connection only: the switch sets them itself
/// (RFC 9110 7.6.1, RFC 9112 6).
const OWN_FIELDS: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Reads a token (RFC 9110 5.6.2): a method, a cookie's name.
pub fn parse_token(text: &str) -> Result<String, Unfit> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || text.len() > 256 || !text.chars().all(allowed) {
        return Err(Unfit::new(format!("{} is not a token", quoted(text)))
            .help("use letters, digits and `-`, without spaces"));
    }
    Ok(text.to_owned())
}

/// Reads a method. Methods are case-sensitive (RFC 9110 9.1), so `get` is most likely a slip.
pub fn parse_method(text: &str) -> Result<String, Unfit> {
    let method = parse_token(text).map_err(|_| {
        Unfit::new(format!("{} is not a method", quoted(text))).help("write \"GET\"")
    })?;
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let help = format!("methods are in capitals: \"{}\"", text.to_ascii_uppercase());
        return Err(Unfit::new(format!("{} is not a method", quoted(text))).help(help));
    }
    Ok(method)
}

/// Reads the name of a header field that may be matched; in lower case.
pub fn parse_field_name(text: &str) -> Result<String, Unfit> {
    if text.starts_with(':') {
        return Err(
            Unfit::new(format!("{} is not a header field", quoted(text)))
                .help("match by `host`, `path` and `method` instead"),
        );
    }
    parse_token(text)
        .map(|name| name.to_ascii_lowercase())
        .map_err(|_| {
            Unfit::new(format!(
                "{} is not the name of a header field",
                quoted(text)
            ))
            .help("use letters, digits and `-`, without spaces or a colon")
        })
}

/// Checks a name of a field that the policy sets, adds or removes.
pub fn parse_editable_field_name(text: &str) -> Result<String, Unfit> {
    let name = parse_field_name(text)?;
    if OWN_FIELDS.contains(&name.as_str()) {
        return Err(Unfit::new(format!("`{name}` cannot be edited"))
            .help("it frames the message or concerns one connection; the switch sets it itself"));
    }
    Ok(name)
}

/// Checks a value that the policy gives a header field: visible ASCII, spaces and tabs between
/// (RFC 9110 5.5).
pub fn parse_field_value(text: &str) -> Result<String, Unfit> {
    let unfit = || {
        Unfit::new(format!(
            "{} is not the value of a header field",
            quoted(text)
        ))
    };
    if text.len() > MAX_VALUE {
        return Err(unfit().help(format!("a value has {MAX_VALUE} bytes at most")));
    }
    if text.trim_matches([' ', '\t']) != text {
        return Err(unfit().help("leave out the spaces around it"));
    }
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
    {
        return Err(unfit().help("use visible ASCII characters and spaces, no line breaks"));
    }
    Ok(text.to_owned())
}

/// Reads a pattern of a value: `*` (any), `abc` (exact), `abc*` (prefix).
pub fn parse_value_pattern(text: &str) -> Result<ValuePattern, Unfit> {
    let unfit = || Unfit::new(format!("{} is not a pattern of a value", quoted(text)));
    if text.len() > MAX_VALUE || text.chars().any(char::is_control) {
        return Err(unfit().help("use visible characters and spaces"));
    }
    if text == "*" {
        return Ok(ValuePattern::Present);
    }
    let (start, prefix) = match text.strip_suffix('*') {
        Some(start) => (start, true),
        None => (text, false),
    };
    if start.contains('*') {
        return Err(unfit().help("`*` stands only at the end: \"abc*\""));
    }
    let pattern = if prefix {
        ValuePattern::Prefix
    } else {
        ValuePattern::Exact
    };
    Ok(pattern(start.to_owned()))
}

/// Reads `200` or `200-299`.
pub fn parse_statuses(text: &str) -> Result<RangeInclusive<u16>, Unfit> {
    let unfit = || {
        Unfit::new(format!("{} is not a status", quoted(text)))
            .help("write a code or a range from 100 to 599: \"200\", \"200-299\"")
    };
    let code = |text: &str| {
        let (digits, rest) = split_number(text);
        let code = digits
            .parse()
            .ok()
            .filter(|code| (100..=599).contains(code));
        code.filter(|_| rest.is_empty() && digits.len() == 3)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: u16 = code(first).ok_or_else(unfit)?;
    let last = code(last).ok_or_else(unfit)?;
    if first > last {
        return Err(unfit().help(format!("write \"{last}-{first}\"")));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_in_capitals() {
        assert_eq!(parse_method("GET").unwrap(), "GET");
        assert_eq!(parse_method("M-SEARCH").unwrap(), "M-SEARCH");
        assert!(
            parse_method("get")
                .unwrap_err()
                .help
                .unwrap()
                .contains("\"GET\"")
        );
        assert!(parse_method("GET,POST").is_err());
    }

    #[test]
    fn fields_that_frame_a_message_cannot_be_edited() {
        assert_eq!(parse_editable_field_name("Host").unwrap(), "host");
        for name in [
            "Content-Length",
            "TRANSFER-ENCODING",
            "connection",
            "upgrade",
        ] {
            assert!(parse_editable_field_name(name).is_err(), "{name}");
        }
        assert!(parse_field_name("a b").is_err());
        assert!(parse_field_name("").is_err());
        assert!(parse_field_name(":path").is_err());
    }

    #[test]
    fn a_value_cannot_smuggle_a_line() {
        assert!(parse_field_value("max-age=1; x").is_ok());
        for text in ["a\r\nb: c", "a\nb", "a\0b", " a", "ä", "\u{7f}"] {
            assert!(parse_field_value(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn patterns_of_values_end_in_their_star() {
        assert_eq!(parse_value_pattern("*"), Ok(ValuePattern::Present));
        assert_eq!(
            parse_value_pattern("a*"),
            Ok(ValuePattern::Prefix("a".to_owned()))
        );
        assert_eq!(
            parse_value_pattern(""),
            Ok(ValuePattern::Exact(String::new()))
        );
        assert!(parse_value_pattern("a*b").is_err());
    }

    #[test]
    fn statuses_are_codes_or_ranges() {
        assert_eq!(parse_statuses("204"), Ok(204..=204));
        assert_eq!(parse_statuses("200-299"), Ok(200..=299));
        for text in [
            "",
            "2xx",
            "99",
            "600",
            "299-200",
            "200-",
            "-200",
            "0200",
            "200-299-300",
        ] {
            assert!(parse_statuses(text).is_err(), "{text:?}");
        }
    }
}
