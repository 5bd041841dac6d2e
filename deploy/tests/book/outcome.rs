//! What a page says that a command prints, beside what it prints.

/// Anything within a line; alone on a line, any lines.
const ANY: &str = "...";

/// Whether all of it was printed and nothing else. Lines of logs may stand between, as on a terminal on
/// which a program runs in the background, and so may empty lines.
pub fn is_as_told(told: &[String], printed: &[String]) -> bool {
    let telling = |line: &&String| !line.trim().is_empty();
    let told: Vec<&str> = told
        .iter()
        .filter(telling)
        .map(|line| line.trim_end())
        .collect();
    let printed = printed.iter().filter(telling);
    let printed = printed
        .filter(|line| !is_log(line) || told.iter().any(|told| *told != ANY && fits(told, line)));
    let printed: Vec<&str> = printed.map(|line| line.trim_end()).collect();
    all(&told, &printed)
}

/// Whether these lines were printed in this order, among others.
pub fn has_told(told: &[String], printed: &[String]) -> bool {
    let mut printed = printed.iter();
    told.iter()
        .filter(|told| told.trim() != ANY)
        .all(|told| printed.any(|line| fits(told.trim_end(), line.trim_end())))
}

fn all(told: &[&str], printed: &[&str]) -> bool {
    match (told, printed) {
        ([], []) => true,
        ([ANY, rest @ ..], _) => (0..=printed.len()).any(|skip| all(rest, &printed[skip..])),
        ([told, rest @ ..], [line, others @ ..]) => fits(told, line) && all(rest, others),
        _ => false,
    }
}

/// Whether one line fits.
fn fits(told: &str, line: &str) -> bool {
    let mut parts = told.split(ANY);
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What a server for tests says when it is told to end, and what a guardian does.
const BESIDES: [&str; 2] = ["ending the requests in flight", "the switch has died"];

/// Whether a program in the background, or the shell about it, has said this.
fn is_log(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    let is_level = |word: &&str| ["INFO", "WARN", "ERROR"].contains(word);
    words
        .first()
        .is_some_and(|time| time.len() > 20 && time.ends_with('Z'))
        && words.last().is_some_and(is_level)
        || BESIDES.iter().any(|said| line.starts_with(said))
        || line.contains(": line ") && (line.contains("Terminated") || line.contains("Killed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_compared_but_for_what_is_left_open() {
        let printed = lines("one  up  7 requests\ntwo  down\nlast");
        for told in [
            "one  up  ... requests\ntwo  down\nlast",
            "...\nlast",
            "one...\n...",
        ] {
            assert!(is_as_told(&lines(told), &printed), "{told}");
        }
        for told in [
            "",
            "one  up",
            "...\ntwo",
            "one  up  ... answers\ntwo  down\nlast",
        ] {
            assert!(!is_as_told(&lines(told), &printed), "{told}");
        }
    }

    #[test]
    fn logs_may_stand_between_and_can_be_told() {
        let printed = lines("2026-11-28T11:02:09.900594Z  INFO listener web at :8080\nright");
        assert!(is_as_told(&lines("right"), &printed));
        assert!(is_as_told(
            &lines("...listener web at :8080\nright"),
            &printed
        ));
        assert!(has_told(&lines("...listener web at :8080"), &printed));
        assert!(!has_told(&lines("...listener api at ..."), &printed));
    }
}
