use super::Unfit;
use crate::suggest::quoted;

/// Bytes of one such text at most.
const MOST: usize = 4096;

/// Reads a text in which `\xFF`, `\r`, `\n`, `\t`, `\0` and `\\` stand for bytes, as TOML's literal
/// strings leave them; in basic strings TOML itself has replaced the usual ones before.
pub fn parse_bytes(text: &str) -> Result<Vec<u8>, Unfit> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let (byte, length) = escape(&rest[at..]).ok_or_else(|| unknown(&rest[at..]))?;
        bytes.push(byte);
        rest = &rest[at + length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    match bytes.len() {
        1..=MOST => Ok(bytes),
        _ => Err(Unfit::new(format!("there must be 1 to {MOST} bytes"))),
    }
}

/// The byte of an escape, and how long the escape is.
fn escape(text: &str) -> Option<(u8, usize)> {
    let byte = match text.as_bytes().get(1)? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        b'0' => 0,
        b'\\' => b'\\',
        b'x' => {
            let digits = text.get(2..4)?;
            let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            return Some((
                u8::from_str_radix(digits, 16)
                    .ok()
                    .filter(|_| hexadecimal)?,
                4,
            ));
        }
        _ => return None,
    };
    Some((byte, 2))
}

fn unknown(text: &str) -> Unfit {
    let shown: String = text.chars().take(4).collect();
    Unfit::new(format!("{} is no byte", quoted(&shown)))
        .help("there are \\r, \\n, \\t, \\0, \\\\ and \\x00 to \\xFF; a backslash itself is \\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes_and_all_else_for_itself() {
        let cases: [(&str, &[u8]); 5] = [
            ("PING\r\n", b"PING\r\n"),
            (r"PING\r\n", b"PING\r\n"),
            (r"\x00\xfF\0\t", &[0, 255, 0, b'\t']),
            (r"a\\n", b"a\\n"),
            ("é", "é".as_bytes()),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for text in [r"\", r"\q", r"\x", r"\x1", r"\xg0", r"\x+1", "\\é", "\\xé"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert!(parse_bytes("").is_err());
        assert!(parse_bytes(&"x".repeat(MOST + 1)).is_err());
    }
}
