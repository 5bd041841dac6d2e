use super::Unfit;
use crate::suggest::quoted;

/// The longest name of a listener, pool, route or backend, in characters.
pub const MAX_NAME: usize = 64;

/// Checks a name: ASCII letters, digits, `-`, `_`, `.` and `:`, beginning with a letter or digit, at
/// most [`MAX_NAME`] long. Names become labels of metrics and parts of URLs.
pub fn parse_name(text: &str) -> Result<String, Unfit> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if text.len() <= MAX_NAME && begins_well && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    let message = if text.is_empty() {
        "a name cannot be empty".to_owned()
    } else {
        format!("{} cannot be a name", quoted(text))
    };
    Err(Unfit::new(message).help(format!(
        "use letters, digits, `-`, `_`, `.` and `:`, beginning with a letter or digit, \
         {MAX_NAME} at most"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_labels_and_urls() {
        assert_eq!(parse_name("api-v2.eu_west:1").unwrap(), "api-v2.eu_west:1");
        for text in ["", "-a", "a b", "a/b", "ä", "a\"", &"x".repeat(65)] {
            assert!(parse_name(text).is_err(), "{text:?}");
        }
    }
}
