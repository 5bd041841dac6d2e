//! The reference page of the policy language, made from the table of keys.

use std::fmt::Write as _;

use crate::keys::{Key, Kind, ROOT, Section};

/// The page as Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Policy reference\n\n\
         Made from the table of keys in `config/src/keys`; do not edit.\n\n\
         Durations are strings such as `\"500ms\"`, `\"2s\"`, `\"1m30s\"`; sizes `\"64KiB\"`, \
         `\"10MiB\"`; rates `\"240B/s\"`; shares `\"20%\"`. Bare numbers are refused for these. In \
         every string `${VAR}` is replaced by an environment variable, `${VAR:-default}` by its \
         default when the variable is not set or empty, `${file:/path}` by a small text file; `$${` \
         stands for `${`.\n",
    );
    write_section(&mut page, &ROOT, "The file", "");
    page
}

/// A table: what it is, its keys, then the tables below it.
fn write_section(page: &mut String, section: &Section, title: &str, prefix: &str) {
    let _ = write!(page, "\n## {title}\n\n{}\n", section.doc);
    for key in section.keys {
        write_key(page, key, prefix);
    }
    for key in section.keys {
        let path = format!("{prefix}{}", key.name);
        let (title, prefix) = match &key.kind {
            Kind::Named(_) => (format!("`[{path}.NAME]`"), format!("{path}.NAME.")),
            Kind::List(_) => (format!("`[[{path}]]`"), format!("{path}.")),
            Kind::TableOrList(_) => (format!("`[{path}]` or `[[{path}]]`"), format!("{path}.")),
            Kind::Defaults(below) => {
                write_defaults(page, below, &path);
                continue;
            }
            _ => (format!("`{path}`"), format!("{path}.")),
        };
        for below in key.kind.sections() {
            write_section(page, below, &title, &prefix);
        }
    }
}

fn write_key(page: &mut String, key: &Key, prefix: &str) {
    let _ = write!(page, "\n### `{prefix}{}`\n\n{}\n\n", key.name, key.doc);
    let _ = writeln!(page, "- Value: {}", key.kind.noun());
    if let Some(bounds) = bounds(&key.kind) {
        let _ = writeln!(page, "- Range: {bounds}");
    }
    for (word, meaning) in words(&key.kind) {
        let _ = writeln!(page, "- `\"{word}\"`: {meaning}");
    }
    match (key.default, key.required) {
        (Some(default), _) => {
            let _ = writeln!(page, "- Default: `{default}`");
        }
        (None, true) => page.push_str("- Required\n"),
        (None, false) => {}
    }
    if key.inherited {
        page.push_str("- May stand in `[defaults]`\n");
    }
    let _ = writeln!(page, "- Example: `{} = {}`", key.name, key.example);
}

fn write_defaults(page: &mut String, section: &Section, path: &str) {
    let keys: Vec<_> = section.keys.iter().filter(|key| key.inherited).collect();
    let keys: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
    let _ = write!(
        page,
        "\n## `[{path}]`\n\nTakes these keys of `{}`: {}.\n",
        section.name,
        keys.join(", ")
    );
}

fn bounds(kind: &Kind) -> Option<String> {
    use crate::value::{format_duration, format_size};
    match kind {
        Kind::Duration { min, max } => Some(format!(
            "`\"{}\"` to `\"{}\"`",
            format_duration(*min),
            format_duration(*max)
        )),
        Kind::Size { min, max } => Some(format!(
            "`\"{}\"` to `\"{}\"`",
            format_size(*min),
            format_size(*max)
        )),
        _ => None,
    }
}

fn words(kind: &Kind) -> Vec<(&'static str, &'static str)> {
    match kind {
        Kind::Word(words) => words.to_vec(),
        Kind::Many(item) | Kind::OneOrMany(item) => words(item),
        Kind::AnyOf(kinds) => kinds.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_entry() {
        let page = markdown();
        check(&page, &ROOT, "");
        assert!(page.contains("### `pool.NAME.health.interval`"));
        assert!(page.contains("- Default: `\"round-robin\"`"));
    }

    fn check(page: &str, section: &Section, prefix: &str) {
        for key in section.keys {
            let path = format!("{prefix}{}", key.name);
            assert!(page.contains(&format!("\n### `{path}`\n")), "{path}");
            match &key.kind {
                Kind::Named(below) => check(page, below, &format!("{path}.NAME.")),
                Kind::Table(below) | Kind::List(below) | Kind::TableOrList(below) => {
                    check(page, below, &format!("{path}."))
                }
                _ => {}
            }
        }
    }
}
