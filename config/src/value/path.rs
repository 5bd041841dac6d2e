use super::Unfit;
use crate::policy::PathPattern;
use crate::suggest::quoted;

/// The longest path that a pattern or rewrite holds, in bytes.
const MAX_PATH: usize = 2048;

/// Reads `/v1/status` (exact) or `/v1/*` (that path and all below it).
pub fn parse_path_pattern(text: &str) -> Result<PathPattern, Unfit> {
    let unfit = || Unfit::new(format!("{} is not a path pattern", quoted(text)));
    if text == "*" {
        return Err(unfit().help("leave `path` out to match every path"));
    }
    if let Some(prefix) = text.strip_suffix("/*") {
        if prefix.is_empty() {
            return Ok(PathPattern::Prefix(String::new()));
        }
        if !prefix.contains('*') {
            let prefix = parse_path(prefix)?;
            let prefix = prefix.trim_end_matches('/').to_owned();
            return Ok(PathPattern::Prefix(prefix));
        }
    }
    if let Some(prefix) = text
        .strip_suffix('*')
        .filter(|prefix| !prefix.contains('*'))
    {
        let help = format!("`*` stands for whole segments at the end: \"{prefix}/*\"");
        return Err(unfit().help(help));
    }
    if text.contains('*') {
        return Err(unfit().help("`*` stands only at the end, after a slash: \"/v1/*\""));
    }
    parse_path(text).map(PathPattern::Exact)
}

/// Reads a path as it is compared with requests: from `/` on, unescaped where that is possible,
/// without query, fragment or dot segments.
pub fn parse_path(text: &str) -> Result<String, Unfit> {
    let unfit = || Unfit::new(format!("{} is not a path", quoted(text)));
    if !text.starts_with('/') {
        return Err(unfit().help(format!(
            "a path begins with a slash: {}",
            quoted(&format!("/{text}"))
        )));
    }
    if text.len() > MAX_PATH {
        return Err(unfit().help(format!("a path has {MAX_PATH} bytes at most")));
    }
    if let Some(at) = text.find(['?', '#']) {
        let help = format!(
            "write {} and match parameters by `query`",
            quoted(&text[..at])
        );
        return Err(unfit().help(help));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(unfit().help("`.` and `..` are resolved before a path is compared"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unfit().help("write spaces and letters beyond ASCII percent-encoded"));
    }
    if let Some(at) = text.find('%')
        && let Some(trouble) = escape_trouble(text, at)
    {
        return Err(unfit().help(trouble));
    }
    Ok(text.to_owned())
}

/// What is wrong with the first percent-encoding that is: requests' paths come with unreserved
/// characters (RFC 3986 2.3) decoded, so an encoded one would never match.
fn escape_trouble(text: &str, first: usize) -> Option<String> {
    for (at, _) in text[first..].match_indices('%') {
        let digits = text.get(first + at + 1..first + at + 3);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            return Some("`%` is followed by two hexadecimal digits: \"%20\"".to_owned());
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            return Some(format!(
                "write `{}` as it is, not encoded",
                char::from(byte)
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_star_makes_a_prefix() {
        let prefix = |path: &str| Ok(PathPattern::Prefix(path.to_owned()));
        assert_eq!(parse_path_pattern("/v1/*"), prefix("/v1"));
        assert_eq!(parse_path_pattern("/*"), prefix(""));
        let exact = PathPattern::Exact("/v1/status".to_owned());
        assert_eq!(parse_path_pattern("/v1/status"), Ok(exact));
    }

    #[test]
    fn stars_elsewhere_get_a_hint() {
        let help = |text| parse_path_pattern(text).unwrap_err().help.unwrap();
        assert!(help("/v1*").contains("\"/v1/*\""));
        assert!(help("/*/x").contains("only at the end"));
        assert!(help("/a/*/b/*").contains("only at the end"));
        assert!(help("*").contains("leave `path` out"));
    }

    #[test]
    fn what_is_not_a_path_is_refused() {
        for text in [
            "",
            "v1",
            "/a?b=c",
            "/a#b",
            "/a/../b",
            "/a b",
            "/ä",
            "/%7Euser",
            "/100%",
            &format!("/{:2048}", ""),
        ] {
            assert!(parse_path_pattern(text).is_err(), "{text:?}");
        }
    }
}
