//! The query of a request to the admin interface: pairs in percent-encoding (RFC 3986 2.1).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// The pairs in their order; `None` when they make no sense. `+` stands for itself.
pub(super) fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((text(name)?, text(value)?))
    };
    parts.map(pair).collect()
}

/// What is written in percent-encoding, as bytes.
pub(super) fn decoded(text: &str) -> Option<OsString> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes().iter());
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [*rest.next()?, *rest.next()?];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    Some(OsString::from_vec(bytes))
}

fn text(encoded: &str) -> Option<String> {
    decoded(encoded)?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_whole_or_not_at_all() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let good = [
            ("", vec![]),
            ("a=b", vec![pair("a", "b")]),
            ("a=&a=%26%3D+", vec![pair("a", ""), pair("a", "&=+")]),
            ("why=%C3%BCber%20all", vec![pair("why", "über all")]),
        ];
        for (query, expected) in good {
            assert_eq!(pairs(query), Some(expected), "{query}");
        }
        for query in ["a", "a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff"] {
            assert_eq!(pairs(query), None, "{query}");
        }
    }
}
