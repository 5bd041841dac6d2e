use super::{Unfit, format_size, parse_size};
use crate::suggest::quoted;

/// Reads a rate of bytes, `240B/s` or `64KiB/s`, as bytes per second.
pub fn parse_byte_rate(text: &str) -> Result<u64, Unfit> {
    let unfit = || {
        Unfit::new(format!("{} is not a rate of bytes", quoted(text)))
            .help("write a size per second: \"240B/s\", \"64KiB/s\"")
    };
    let Some(size) = text.strip_suffix("/s") else {
        return Err(match parse_size(text) {
            Ok(_) => unfit().help(format!("write \"{text}/s\"")),
            Err(_) => unfit(),
        });
    };
    parse_size(size).map_err(|_| unfit())
}

/// Writes bytes per second so that [`parse_byte_rate`] reads the same.
pub fn format_byte_rate(bytes: u64) -> String {
    format!("{}/s", format_size(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_size_per_second() {
        assert_eq!(parse_byte_rate("240B/s"), Ok(240));
        assert_eq!(parse_byte_rate("64KiB/s"), Ok(65_536));
    }

    #[test]
    fn a_size_without_its_second_gets_a_hint() {
        assert_eq!(
            parse_byte_rate("240B").unwrap_err().help.unwrap(),
            "write \"240B/s\""
        );
        for text in ["", "/s", "240/s", "240B/m", "100"] {
            assert!(parse_byte_rate(text).is_err(), "{text:?}");
        }
    }
}
