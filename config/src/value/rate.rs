use std::time::Duration;

use super::{Unfit, format_size, parse_size};
use crate::policy::Rate;
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

/// Reads a rate of events, `100/s`, `600/m` or `1000/h`.
pub fn parse_rate(text: &str) -> Result<Rate, Unfit> {
    let unfit = || {
        Unfit::new(format!("{} is not a rate", quoted(text)))
            .help("write a number per second, minute or hour: \"100/s\", \"600/m\", \"1000/h\"")
    };
    let (count, unit) = text.split_once('/').ok_or_else(unfit)?;
    let per = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(unfit()),
    };
    match count.parse() {
        Ok(count) if count > 0 && count <= 1_000_000 => Ok(Rate { count, per }),
        _ => Err(unfit()),
    }
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
    fn a_rate_is_a_number_per_second_minute_or_hour() {
        let rate = parse_rate("600/m").unwrap();
        assert_eq!((rate.count, rate.per), (600, Duration::from_secs(60)));
        for text in [
            "",
            "100",
            "0/s",
            "-1/s",
            "1.5/s",
            "100/d",
            "99999999/s",
            "/s",
        ] {
            assert!(parse_rate(text).is_err(), "{text:?}");
        }
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
