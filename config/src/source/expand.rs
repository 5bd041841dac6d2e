use std::path::Path;

use super::read_text;

/// The largest file that `${file:...}` takes in, in bytes.
const MAX_INSERTED_BYTES: u64 = 64 * 1024;

/// Why a `${...}` could not be replaced: which one, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpandError {
    /// The reference as written, from `${` on.
    pub(crate) reference: String,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// What came out of an expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Files that were taken in.
    pub(crate) files: Vec<std::path::PathBuf>,
}

/// Replaces `${VAR}`, `${VAR:-default}` and `${file:/path}`; `$${` stands for `${`. `None` when
/// there is nothing to replace.
pub(crate) fn expand(
    text: &str,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Expanded>, ExpandError> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            expanded.text.push_str(&rest[..at - 1]);
            expanded.text.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.text.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err(unclosed(&rest[at..]));
        };
        let reference = &rest[at..=at + end];
        let inside = &reference[2..reference.len() - 1];
        expanded.insert(reference, inside, folder, variable)?;
        rest = &rest[at + end + 1..];
    }
    expanded.text.push_str(rest);
    Ok(Some(expanded))
}

impl Expanded {
    fn insert(
        &mut self,
        reference: &str,
        inside: &str,
        folder: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ExpandError> {
        if let Some(path) = inside.strip_prefix("file:") {
            return self.insert_file(reference, &folder.join(path));
        }
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable_name(name) {
            return Err(ExpandError {
                reference: reference.to_owned(),
                code: "bad-reference",
                message: "this is not the name of an environment variable".to_owned(),
                help: "write `${VAR}`, `${VAR:-default}` or `${file:/path}`; `$${` stands for `${`"
                    .to_owned(),
            });
        }
        // As in a shell, `:-` also replaces a variable that is set but empty.
        let value = variable(name).filter(|value| default.is_none() || !value.is_empty());
        match value.or(default.map(str::to_owned)) {
            Some(value) => self.text.push_str(&value),
            None => {
                return Err(ExpandError {
                    reference: reference.to_owned(),
                    code: "unset-variable",
                    message: format!("the environment variable `{name}` is not set"),
                    help: format!("set it, or give a default: `${{{name}:-default}}`"),
                });
            }
        }
        Ok(())
    }

    fn insert_file(&mut self, reference: &str, path: &Path) -> Result<(), ExpandError> {
        let text = read_text(path, MAX_INSERTED_BYTES).map_err(|message| ExpandError {
            reference: reference.to_owned(),
            code: "unreadable-file",
            message,
            help: "`${file:/path}` takes in a small text file, such as a mounted secret".to_owned(),
        })?;
        self.text
            .push_str(text.strip_suffix('\n').map_or(text.as_str(), |text| {
                text.strip_suffix('\r').unwrap_or(text)
            }));
        self.files.push(path.to_owned());
        Ok(())
    }
}

fn unclosed(reference: &str) -> ExpandError {
    ExpandError {
        reference: reference.to_owned(),
        code: "bad-reference",
        message: "`${` is not closed by `}`".to_owned(),
        help: "close it, or write `$${` for a plain `${`".to_owned(),
    }
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|other| other.is_ascii_alphanumeric() || other == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, ExpandError> {
        let variables = |name: &str| match name {
            "HOST" => Some("10.0.0.1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let found = expand(text, Path::new("/"), &variables)?;
        Ok(found.map_or(text.to_owned(), |found| found.text))
    }

    #[test]
    fn variables_are_replaced_wherever_they_stand() {
        assert_eq!(
            expanded("a ${HOST}:${PORT:-80} b").unwrap(),
            "a 10.0.0.1:80 b"
        );
        assert_eq!(
            expanded("no $ sign { matters }").unwrap(),
            "no $ sign { matters }"
        );
    }

    #[test]
    fn an_empty_variable_takes_the_default_as_in_a_shell() {
        assert_eq!(expanded("${EMPTY:-x}").unwrap(), "x");
        assert_eq!(expanded("[${EMPTY}]").unwrap(), "[]");
    }

    #[test]
    fn a_doubled_dollar_stands_for_itself() {
        assert_eq!(expanded("$${HOST} ${HOST}").unwrap(), "${HOST} 10.0.0.1");
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded_again() {
        let variables = |_: &str| Some("${B}".to_owned());
        let found = expand("${A}", Path::new("/"), &variables).unwrap().unwrap();
        assert_eq!(found.text, "${B}");
    }

    #[test]
    fn unset_unclosed_and_malformed_references_are_errors() {
        assert!(
            expanded("${NOPE}")
                .unwrap_err()
                .message
                .contains("`NOPE` is not set")
        );
        assert!(
            expanded("x ${HOST")
                .unwrap_err()
                .message
                .contains("not closed")
        );
        assert!(
            expanded("${a b}")
                .unwrap_err()
                .message
                .contains("not the name")
        );
        assert_eq!(expanded("x ${NOPE} y").unwrap_err().reference, "${NOPE}");
    }

    #[test]
    fn a_file_comes_without_its_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "two\nlines\n").unwrap();
        let found = expand("<${file:secret}>", folder.path(), &|_| None)
            .unwrap()
            .unwrap();
        assert_eq!(found.text, "<two\nlines>");
        assert_eq!(found.files, [folder.path().join("secret")]);
        assert!(expand("${file:none}", folder.path(), &|_| None).is_err());
    }
}
