//! Guesses at what was meant, and quoting of what was written.

use std::fmt::Write as _;

/// The candidate that `written` is most likely a slip of, if one is close enough to be worth naming.
pub(crate) fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written: String = written.chars().take(64).collect::<String>().to_lowercase();
    let plain = written.replace('_', "-");
    let score = |candidate: &str| {
        if candidate.to_lowercase().replace('_', "-") == plain {
            return 1.0;
        }
        strsim::jaro_winkler(&written, candidate).min(0.99)
            * f64::from(
                strsim::damerau_levenshtein(&written, candidate) <= allowed_edits(candidate),
            )
    };
    candidates
        .into_iter()
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// A text of the operator in backticks: without control characters and of bounded length.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut quoted = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            quoted.push('…');
            break;
        }
        if character.is_control() || is_bidi_control(character) {
            let _ = write!(quoted, "{}", character.escape_unicode());
        } else {
            quoted.push(character);
        }
    }
    quoted.push('`');
    quoted
}

/// `a`, `b` and `c`, all quoted.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words
        .into_iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn allowed_edits(candidate: &str) -> usize {
    match candidate.chars().count() {
        0..=2 => 1,
        3..=6 => 2,
        _ => 3,
    }
}

/// Characters that change the reading order of the text around them (Trojan Source).
fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised() {
        let words = ["balance", "backends", "health"];
        assert_eq!(closest("balence", words), Some("balance"));
        assert_eq!(closest("Backend", words), Some("backends"));
        assert_eq!(closest("helth", words), Some("health"));
        assert_eq!(
            closest("least_request", ["least-request", "random"]),
            Some("least-request")
        );
    }

    #[test]
    fn words_that_are_far_off_get_no_suggestion() {
        assert_eq!(closest("colour", ["balance", "backends", "health"]), None);
        assert_eq!(closest("", ["a"]), None);
    }

    #[test]
    fn quoted_text_holds_no_control_characters_and_ends() {
        assert_eq!(quoted("a\u{1b}[31m"), "`a\\u{1b}[31m`");
        assert!(quoted(&"x".repeat(1000)).chars().count() < 90);
    }
}
