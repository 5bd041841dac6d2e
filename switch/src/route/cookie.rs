//! Cookies, read in place.

/// The cookies of one Cookie field (RFC 6265 4.2.1): name and value, white space and the quotes
/// around a value taken off. A part without `=` is no cookie.
pub fn cookies(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|byte| *byte == b';').filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        (!name.is_empty()).then(|| (name, unquoted(value)))
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_as_browsers_send_them() {
        let found: Vec<_> =
            cookies(b"SRV=a1; lang = de;x=\"quoted\";flag; =lost;eq=a=b; e=; q=\"").collect();
        let expected: [(&[u8], &[u8]); 6] = [
            (b"SRV", b"a1"),
            (b"lang", b"de"),
            (b"x", b"quoted"),
            (b"eq", b"a=b"),
            (b"e", b""),
            (b"q", b"\""),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_field_without_cookies_has_none() {
        for field in ["", ";", " ; ;", "flag"] {
            assert_eq!(cookies(field.as_bytes()).count(), 0, "{field}");
        }
    }
}
