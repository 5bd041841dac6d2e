//! Points in time as RFC 3339 writes them, in UTC with milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

const LENGTH: usize = 26;

/// Writes times; one millisecond is formatted once.
#[derive(Debug)]
pub(super) struct Clock {
    millis: u64,
    text: [u8; LENGTH],
}

impl Clock {
    /// Appends the time with quotes. Times before 1970 are written as 1970, those after the year
    /// 9999 as its end: RFC 3339 has no room for them.
    pub(super) fn write(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(LAST).min(LAST);
        if millis != self.millis {
            *self = Self {
                millis,
                text: format(millis),
            };
        }
        out.extend_from_slice(&self.text);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            millis: 0,
            text: format(0),
        }
    }
}

/// 9999-12-31T23:59:59.999Z
const LAST: u64 = 253_402_300_799_999;

fn format(millis: u64) -> [u8; LENGTH] {
    let seconds = millis / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let mut text = *b"\"0000-00-00T00:00:00.000Z\"";
    let parts = [
        (1..5, year),
        (6..8, month),
        (9..11, day),
        (12..14, seconds / 3600 % 24),
        (15..17, seconds / 60 % 60),
        (18..20, seconds % 60),
        (21..24, millis % 1000),
    ];
    for (places, mut value) in parts {
        for digit in text[places].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    text
}

/// Year, month and day of the Gregorian calendar from the days since 1970: Howard Hinnant's
/// `civil_from_days`, whose years begin in March so that the leap day is the last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_asks() {
        let times = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
        ];
        let mut clock = Clock::default();
        for (millis, text) in times {
            let mut out = Vec::new();
            clock.write(UNIX_EPOCH + Duration::from_millis(millis), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("\"{text}\""));
        }
    }

    #[test]
    fn the_date_agrees_with_httpdate_on_every_day_of_four_centuries() {
        for days in 0..146_097 {
            let time = UNIX_EPOCH + Duration::from_secs(days * 86_400);
            let theirs = httpdate::fmt_http_date(time);
            let (year, _, day) = date(days);
            assert_eq!(theirs[5..7], format!("{day:02}"));
            assert_eq!(theirs[12..16], year.to_string());
        }
    }

    #[test]
    fn impossible_times_stay_within_the_format() {
        let mut out = Vec::new();
        let mut clock = Clock::default();
        clock.write(UNIX_EPOCH - Duration::from_secs(1), &mut out);
        clock.write(UNIX_EPOCH + Duration::from_millis(LAST + 1), &mut out);
        let expected = "\"1970-01-01T00:00:00.000Z\"\"9999-12-31T23:59:59.999Z\"";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
