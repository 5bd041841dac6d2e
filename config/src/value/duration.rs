use std::time::Duration;

use super::{Unfit, split_number};
use crate::suggest::quoted;

/// Units from the largest to the smallest, with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `500ms`, `2s`, `1m30s`, `1h`, `1d`: whole numbers, units from the largest to the smallest,
/// each at most once.
pub fn parse_duration(text: &str) -> Result<Duration, Unfit> {
    let unfit = || {
        Unfit::new(format!("{} is not a duration", quoted(text))).help(
            "write whole numbers with the units d, h, m, s or ms: \"2s\", \"1m30s\", \"500ms\"",
        )
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(
            Unfit::new(format!("the duration {} has no unit", quoted(text))).help(format!(
                "write \"{text}s\" for seconds or \"{text}ms\" for milliseconds"
            )),
        );
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut smallest = None;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let index = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(unfit)?;
        if number.is_empty() || smallest.is_some_and(|smallest| index <= smallest) {
            return Err(unfit());
        }
        let amount: u64 = number.parse().map_err(|_| too_long(text))?;
        total = amount
            .checked_mul(UNITS[index].1)
            .and_then(|amount| total.checked_add(amount))
            .ok_or_else(|| too_long(text))?;
        smallest = Some(index);
        rest = tail;
    }
    smallest
        .map(|_| Duration::from_millis(total))
        .ok_or_else(unfit)
}

/// Writes a duration so that [`parse_duration`] reads the same one; parts of a millisecond are lost.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

fn too_long(text: &str) -> Unfit {
    Unfit::new(format!("the duration {} is too long", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        let parsed = |text| parse_duration(text).unwrap().as_millis();
        assert_eq!(parsed("500ms"), 500);
        assert_eq!(parsed("1m30s"), 90_000);
        assert_eq!(parsed("1d2h3m4s5ms"), 93_784_005);
        assert_eq!(parsed("0s"), 0);
    }

    #[test]
    fn a_bare_number_gets_a_hint_with_a_unit() {
        let help = parse_duration("5").unwrap_err().help.unwrap();
        assert!(help.contains("\"5s\""), "{help}");
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "", "s", "2sec", "1.5s", "-1s", "1s1m", "1s1s", "1 s", " 1s", "1s ", "٣s",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert!(parse_duration("99999999999999999999s").is_err());
        assert!(parse_duration("18446744073709551615d").is_err());
    }
}
