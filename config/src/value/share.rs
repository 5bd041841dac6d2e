use super::Unfit;
use crate::suggest::quoted;

/// Reads a share, `20%` or `0.5%`, as a number from 0.0 to 1.0.
pub fn parse_share(text: &str) -> Result<f64, Unfit> {
    let unfit = || {
        Unfit::new(format!("{} is not a share", quoted(text)))
            .help("write a percentage from \"0%\" to \"100%\"")
    };
    let Some(number) = text.strip_suffix('%') else {
        return Err(match plain_number(text) {
            Some(number) if number <= 100.0 => unfit().help(format!("write \"{text}%\"")),
            _ => unfit(),
        });
    };
    let percent = plain_number(number).ok_or_else(unfit)?;
    if percent > 100.0 {
        return Err(unfit());
    }
    Ok(percent / 100.0)
}

/// Writes a share so that [`parse_share`] reads it again, to within rounding.
pub fn format_share(share: f64) -> String {
    let percent = (share * 100.0 * 1e6).round() / 1e6;
    format!("{percent}%")
}

/// Digits, and digits behind one point; nothing else of what a float may look like.
fn plain_number(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| {
        (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    (digits(whole) && digits(fraction))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_become_parts_of_one() {
        assert_eq!(parse_share("20%"), Ok(0.2));
        assert_eq!(parse_share("0%"), Ok(0.0));
        assert_eq!(parse_share("100%"), Ok(1.0));
        assert_eq!(parse_share("12.5%"), Ok(0.125));
    }

    #[test]
    fn what_is_not_a_percentage_is_refused() {
        for text in [
            "", "%", "20", "101%", "-1%", "1e1%", "inf%", ".5%", "5.%", "20 %",
        ] {
            assert!(parse_share(text).is_err(), "{text:?}");
        }
        assert_eq!(
            parse_share("20").unwrap_err().help.unwrap(),
            "write \"20%\""
        );
    }
}
