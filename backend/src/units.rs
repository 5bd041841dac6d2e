//! Durations, sizes and shares as they are written on the command line and in a request's target:
//! `200ms`, `64KiB`, `5%`. Bare numbers are refused, as in the policy language.

use std::time::Duration;

/// Reads a duration: a whole number and `ms`, `s` or `m`, such as `200ms`.
///
/// # Errors
/// A message for the user when the text is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    scaled(number, scale)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no duration; write it like `200ms`, `2s` or `1m`"))
}

/// Reads a size in bytes: a whole number and `B`, `KiB` or `MiB`, such as `64KiB`.
///
/// # Errors
/// A message for the user when the text is none.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    scaled(number, scale)
        .ok_or_else(|| format!("`{text}` is no size; write it like `512B`, `64KiB` or `1MiB`"))
}

/// Reads a share: a number from 0 to 100 and `%`, such as `5%` or `0.5%`. The result is 0.0 to 1.0.
///
/// # Errors
/// A message for the user when the text is none.
pub fn share(text: &str) -> Result<f64, String> {
    text.strip_suffix('%')
        .filter(|number| {
            number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
        .and_then(|number| number.parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("`{text}` is no share; write it like `5%`, from `0%` to `100%`"))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

fn scaled(number: &str, scale: Option<u64>) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_mul(scale?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_units_are_read() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(size("512B"), Ok(512));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("100%"), Ok(1.0));
    }

    #[test]
    fn bare_numbers_and_strange_units_are_refused() {
        for text in [
            "",
            "200",
            "ms",
            "2 s",
            "-1s",
            "1.5s",
            "2sec",
            "99999999999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "64", "KiB", "64KB", "-1B", "18446744073709551615KiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "5", "%", "101%", "-1%", "NaN%", "inf%", "1e1%", "5 %"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
