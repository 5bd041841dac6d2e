//! As much of HTTP/1.1 as it takes to know who answered.

/// Headers that name who answered, the first one first: a switch in front of servers can set its
/// own.
const NAMES: [&str; 2] = ["x-switch", "x-backend"];

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Who answered, empty when nobody said so.
    pub(super) name: String,
    /// Whether the connection ends with it.
    pub(super) close: bool,
}

impl Answer {
    /// Reads the answer that these bytes are; none when more have to come.
    ///
    /// Bodies are those of a Content-Length; without one there is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let fields: Vec<(String, &str)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
            .collect();
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| *value)
        };
        let length: usize = field("content-length").unwrap_or("0").parse().ok()?;
        if bytes.len() - (end + 4) < length {
            return None;
        }
        Some(Self {
            status,
            name: NAMES
                .iter()
                .find_map(|name| field(name))
                .unwrap_or_default()
                .to_owned(),
            close: field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_the_last_byte_of_its_body() {
        let bytes = b"HTTP/1.1 200 OK\r\nX-Backend: one\r\nContent-Length: 4\r\n\r\none\n";
        assert_eq!(Answer::read(&bytes[..bytes.len() - 1]), None);
        let answer = Answer::read(bytes).unwrap();
        assert_eq!((answer.status, answer.name.as_str()), (200, "one"));
        assert!(!answer.close);
    }

    #[test]
    fn a_switch_is_named_before_the_server_behind_it() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nX-Backend: one\r\nX-Switch: a\r\nConnection: close\r\n\r\n";
        let answer = Answer::read(bytes).unwrap();
        assert_eq!(answer.name, "a");
        assert!(answer.close);
    }
}
