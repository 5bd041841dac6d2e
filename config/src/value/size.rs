use super::{Unfit, split_number};
use crate::suggest::quoted;

/// Units with their bytes, from the largest to the smallest.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads `512B`, `64KiB`, `10MiB`, `1GiB`, `1TiB` as bytes.
pub fn parse_size(text: &str) -> Result<u64, Unfit> {
    let (number, unit) = split_number(text);
    let unfit = || {
        Unfit::new(format!("{} is not a size", quoted(text)))
            .help("write a whole number with the unit B, KiB, MiB, GiB or TiB: \"10MiB\"")
    };
    if number.is_empty() {
        return Err(unfit());
    }
    if unit.is_empty() {
        return Err(
            Unfit::new(format!("the size {} has no unit", quoted(text))).help(format!(
                "write \"{text}B\" for bytes or \"{text}KiB\" for 1024 times as many"
            )),
        );
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match lookalike(unit) {
            Some(right) => Unfit::new(format!("{} is not a unit of size", quoted(unit))).help(
                format!("write \"{number}{right}\": units are powers of 1024"),
            ),
            None => unfit(),
        });
    };
    let amount: Option<u64> = number.parse().ok();
    amount
        .and_then(|amount| amount.checked_mul(*factor))
        .ok_or_else(|| Unfit::new(format!("the size {} is too large", quoted(text))))
}

/// Writes a number of bytes so that [`parse_size`] reads the same one, with the largest unit that
/// divides it.
pub fn format_size(bytes: u64) -> String {
    let fits = |factor: u64| bytes > 0 && bytes.is_multiple_of(factor);
    match UNITS.iter().find(|(_, factor)| fits(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => "0B".to_owned(),
    }
}

/// The unit that `mb`, `M`, `Mib` and the like probably mean.
fn lookalike(unit: &str) -> Option<&'static str> {
    let first = unit.chars().next()?.to_ascii_uppercase();
    let rest = unit.get(1..)?.to_ascii_lowercase();
    let known = UNITS.iter().find(|(name, _)| name.starts_with(first))?;
    matches!(rest.as_str(), "" | "b" | "ib").then_some(known.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        assert_eq!(parse_size("10MiB"), Ok(10 * 1024 * 1024));
        assert_eq!(parse_size("0B"), Ok(0));
        assert_eq!(parse_size("1TiB"), Ok(1 << 40));
    }

    #[test]
    fn units_that_look_alike_are_named_in_the_hint() {
        for (text, right) in [
            ("10MB", "10MiB"),
            ("5k", "5KiB"),
            ("1gib", "1GiB"),
            ("7b", "7B"),
        ] {
            let help = parse_size(text).unwrap_err().help.unwrap();
            assert!(help.contains(right), "{text}: {help}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "",
            "10",
            "MiB",
            "-1B",
            "1.5MiB",
            "1 MiB",
            "1éB",
            "99999999TiB",
        ] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }
}
