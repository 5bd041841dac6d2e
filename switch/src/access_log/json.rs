//! JSON strings (RFC 8259 section 7) straight into a buffer, from bytes that a client chose.

/// Bytes of a value that are written; a longer one ends in an ellipsis.
const MOST: usize = 8 * 1024;

/// Appends a quoted string. Bytes that are not UTF-8 become `\xNN` in the text. Everything that
/// could end a line or steer a terminal is escaped: the C0 and C1 controls, DEL, and the line and
/// paragraph separators.
pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in bytes[..bytes.len().min(MOST)].utf8_chunks() {
        text(chunk.valid().as_bytes(), out);
        for byte in chunk.invalid() {
            out.extend_from_slice(b"\\\\x");
            out.extend_from_slice(&hex(*byte));
        }
    }
    if bytes.len() > MOST {
        out.extend_from_slice("…".as_bytes());
    }
    out.push(b'"');
}

/// Appends what is known to be UTF-8.
fn text(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(place) = rest.iter().position(|byte| SPECIAL[usize::from(*byte)]) {
        out.extend_from_slice(&rest[..place]);
        let used = escape(&rest[place..], out);
        rest = &rest[place + used..];
    }
    out.extend_from_slice(rest);
}

/// Appends the character at the start of `text`, escaped if need be; returns its length.
fn escape(text: &[u8], out: &mut Vec<u8>) -> usize {
    match *text {
        [b'"', ..] => out.extend_from_slice(b"\\\""),
        [b'\\', ..] => out.extend_from_slice(b"\\\\"),
        [b'\n', ..] => out.extend_from_slice(b"\\n"),
        [b'\r', ..] => out.extend_from_slice(b"\\r"),
        [b'\t', ..] => out.extend_from_slice(b"\\t"),
        [byte @ (..0x20 | 0x7f), ..] => unicode(0, byte, out),
        [0xc2, byte @ 0x80..=0x9f, ..] => {
            unicode(0, byte, out);
            return 2;
        }
        [0xe2, 0x80, byte @ 0xa8..=0xa9, ..] => {
            unicode(0x20, byte - 0x80, out);
            return 3;
        }
        [byte, ..] => out.push(byte),
        [] => {}
    }
    1
}

fn unicode(high: u8, low: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    out.extend_from_slice(&hex(high));
    out.extend_from_slice(&hex(low));
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]
}

/// Bytes at which a character may begin that must be escaped.
static SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[0x7f] = true;
    table[0xc2] = true;
    table[0xe2] = true;
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        string(bytes, &mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn controls_and_separators_are_escaped() {
        let bytes = "a\"\\\n\r\t\0\u{1b}\u{7f}\u{9b}\u{2028}\u{2029}é€â".as_bytes();
        let expected = r#""a\"\\\n\r\t\u0000\u001b\u007f\u009b\u2028\u2029é€â""#;
        assert_eq!(written(bytes), expected);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_shown_in_hexadecimal() {
        assert_eq!(
            written(b"a\xff\xc3b\xe2\x80"),
            r#""a\\xff\\xc3b\\xe2\\x80""#
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let text: String = serde_json::from_str(&written(&vec![b'a'; MOST + 1])).expect("JSON");
        assert_eq!(text, "a".repeat(MOST) + "…");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_a_parser(text in "\\PC*|(?s).*") {
            let parsed: String = serde_json::from_str(&written(text.as_bytes())).expect("JSON");
            prop_assert_eq!(parsed, text);
        }

        #[test]
        fn any_bytes_make_one_line_without_controls(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let line = written(&bytes);
            prop_assert!(serde_json::from_str::<String>(&line).is_ok());
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
