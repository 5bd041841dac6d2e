//! Paths: made fit for matching, and matched by prefix.

use std::borrow::Cow;

use pointsman_config::policy::{Match, PathPattern};

/// The path made fit for matching: percent-encoded unreserved characters are decoded (RFC 3986
/// 6.2.2.2), then `.` and `..` segments are resolved (5.2.4), never above the root. Everything else
/// stays as it is, also `//`, other encodings and the case of their digits. A path that does not
/// begin with `/` (`*`) is not touched.
///
/// Without the query. Allocates only when something changes. Doing it twice changes nothing more.
pub fn normalize(path: &str) -> Cow<'_, str> {
    if !path.starts_with('/') || !needs_change(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        out.push('/');
        decode_unreserved(segment, &mut out);
        match &out[start + 1..] {
            "." => out.truncate(start),
            ".." => {
                out.truncate(start);
                out.truncate(out.rfind('/').unwrap_or(0));
            }
            _ => continue,
        }
        if segments.peek().is_none() {
            out.push('/');
        }
    }
    Cow::Owned(out)
}

/// The prefixes among the path patterns of a match, longest first.
pub fn prefixes(matches: &Match) -> Vec<String> {
    let mut prefixes: Vec<String> = matches
        .paths
        .iter()
        .filter_map(|pattern| match pattern {
            PathPattern::Prefix(prefix) => Some(prefix.clone()),
            PathPattern::Exact(_) => None,
        })
        .collect();
    prefixes.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    prefixes
}

/// Which of the prefixes (longest first, as from [`prefixes`]) the path begins with: what
/// `rewrite = { prefix = "..." }` replaces.
pub fn matched_prefix<'p>(prefixes: &'p [String], path: &str) -> Option<&'p str> {
    prefixes
        .iter()
        .map(String::as_str)
        .find(|prefix| has_prefix(path, prefix))
}

/// Whether the path is the prefix or lies below it: `/v1` is a prefix of `/v1` and `/v1/a`, not of
/// `/v12`. The empty prefix is one of every path.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// Whether there is a dot segment or an encoded unreserved character.
fn needs_change(path: &[u8]) -> bool {
    memchr::memchr2_iter(b'%', b'.', path).any(|at| match path[at] {
        b'%' => unreserved_at(path, at).is_some(),
        _ => path[at - 1] == b'/' && is_dot_segment(&path[at..]),
    })
}

fn is_dot_segment(rest: &[u8]) -> bool {
    let after = rest.strip_prefix(b"..").or_else(|| rest.strip_prefix(b"."));
    after.is_some_and(|after| after.first().is_none_or(|next| *next == b'/'))
}

/// The unreserved character (RFC 3986 2.3) that is encoded at this `%`.
fn unreserved_at(text: &[u8], at: usize) -> Option<u8> {
    let byte = super::query::encoded_at(text, at)?;
    let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    unreserved.then_some(byte)
}

/// Appends the segment, its encoded unreserved characters decoded. One that would turn a stray `%`
/// before it into an encoding (`%%32e`) stays, or else the next reader would see another path.
fn decode_unreserved(segment: &str, out: &mut String) {
    let (mut copied, mut stray) = (0, None);
    let bytes = segment.as_bytes();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'%', &bytes[from..]).map(|ahead| from + ahead) {
        from = at + 1;
        if super::query::encoded_at(bytes, at).is_none() {
            stray = Some(out.len() + at - copied);
            continue;
        }
        from = at + 3;
        let here = out.len() + at - copied;
        let completes = stray.is_some_and(|stray| here - stray <= 2);
        if let Some(byte) = unreserved_at(bytes, at).filter(|_| !completes) {
            out.push_str(&segment[copied..at]);
            out.push(char::from(byte));
            copied = from;
        }
    }
    out.push_str(&segment[copied..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_become_fit_for_matching() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b.html", "/a/b.html"),
            ("/a/./b", "/a/b"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../../etc", "/etc"),
            ("/a/../../..", "/"),
            ("/a/b/c/./../../g", "/a/g"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e/b", "/a/b"),
            ("/%7Euser/%41%2d%5f", "/~user/A-_"),
            ("/a%2fb/%20/%c3%A9", "/a%2fb/%20/%c3%A9"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("//", "//"),
            ("/...", "/..."),
            ("/.a/..b/a.", "/.a/..b/a."),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/ä/../ö", "/ö"),
            ("/ä%41", "/äA"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(normalize(path), expected, "{path}");
        }
    }

    #[test]
    fn decoding_makes_no_new_encoding() {
        for path in ["/%%32e", "/%%32%65/x", "/%2%65", "/%a%62", "/%25%32%65"] {
            let once = normalize(path);
            assert!(
                !once.contains("%2e") || once.contains("%252e"),
                "{path} became {once}"
            );
            assert_eq!(normalize(&once), once, "{path}");
        }
    }

    #[test]
    fn a_path_that_needs_no_change_is_not_copied() {
        for path in [
            "/",
            "/index.html",
            "/a/.hidden/b..c/...",
            "/a%20b%2F",
            "//a//",
        ] {
            assert!(matches!(normalize(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        assert!(has_prefix("/v1", "/v1"));
        assert!(has_prefix("/v1/", "/v1"));
        assert!(has_prefix("/v1/a", "/v1"));
        assert!(!has_prefix("/v12", "/v1"));
        assert!(!has_prefix("/v", "/v1"));
        assert!(has_prefix("/v1", ""));
        assert!(has_prefix("*", ""));
    }

    #[test]
    fn the_longest_prefix_is_the_matched_one() {
        let matches = Match {
            paths: vec![
                PathPattern::Prefix("/a".into()),
                PathPattern::Exact("/a/b/c".into()),
                PathPattern::Prefix("/a/b".into()),
            ],
            ..Match::default()
        };
        let prefixes = prefixes(&matches);
        assert_eq!(matched_prefix(&prefixes, "/a/b/c"), Some("/a/b"));
        assert_eq!(matched_prefix(&prefixes, "/a/bc"), Some("/a"));
        assert_eq!(matched_prefix(&prefixes, "/b"), None);
    }

    fn paths() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/"),
            Just("."),
            Just(".."),
            Just("%"),
            Just("%2e"),
            Just("%2E"),
            Just("%2f"),
            Just("%25"),
            Just("%32"),
            Just("%65"),
            Just("2"),
            Just("e"),
            Just("a"),
            Just("ä"),
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing_more(path in paths()) {
            let once = normalize(&path);
            prop_assert!(matches!(normalize(&once), Cow::Borrowed(_)) || normalize(&once) == once);
        }

        #[test]
        fn no_dot_segment_is_left_and_the_root_stays(path in paths()) {
            let normal = normalize(&path);
            prop_assert!(normal.starts_with('/'));
            prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(normal.len() <= path.len());
        }

        #[test]
        fn any_text_is_taken(path in ".*") {
            let once = normalize(&path).into_owned();
            prop_assert_eq!(normalize(&once).into_owned(), once);
        }
    }
}
