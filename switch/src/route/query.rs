//! Query parameters and percent-encoding, read in place.

/// The parameters of a query (`a=1&b`), still encoded; one without `=` has an empty value.
pub fn parameters(query: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
    query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (name.as_bytes(), value.as_bytes())
        })
}

/// The bytes that the text stands for: encodings decoded, `+` as a space
/// (application/x-www-form-urlencoded). What is no valid encoding stands for itself.
pub fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *text.get(at)?;
        let encoded = encoded_at(text, at).filter(|_| byte == b'%');
        at += if encoded.is_some() { 3 } else { 1 };
        Some(encoded.unwrap_or(if byte == b'+' { b' ' } else { byte }))
    })
}

/// The byte whose two hexadecimal digits follow this place.
pub(super) fn encoded_at(text: &[u8], at: usize) -> Option<u8> {
    let digit = |place: usize| char::from(*text.get(place)?).to_digit(16);
    Some((digit(at + 1)? * 16 + digit(at + 2)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_split_at_the_first_equals_sign() {
        let found: Vec<_> = parameters("a=1&&b&c==x&=y").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"c", b"=x"), (b"", b"y")];
        assert_eq!(found, expected);
    }

    #[test]
    fn encodings_are_decoded_and_plus_is_a_space() {
        let text = |encoded: &str| decoded(encoded.as_bytes()).collect::<Vec<u8>>();
        assert_eq!(text("a+b%20c%2B"), b"a b c+");
        assert_eq!(text("%c3%A4"), "ä".as_bytes());
        assert_eq!(text("100%"), b"100%");
        assert_eq!(text("%4"), b"%4");
        assert_eq!(text("%zz%%41"), b"%zz%A");
        assert_eq!(text("a41"), b"a41");
    }
}
