use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// The most files that all includes may bring in, and folder entries that are looked at.
pub(crate) const MAX_INCLUDED_FILES: usize = 1024;
const MAX_ENTRIES: usize = 65_536;

/// One pattern of `include`.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Whether it holds `*`, `?`, `[` or `{`: such a pattern may match nothing.
    pub(crate) has_wildcard: bool,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Plain(PathBuf),
    Glob { matcher: GlobMatcher, hidden: bool },
}

impl Pattern {
    /// Reads a pattern; the error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an include needs a path".to_owned());
        }
        let steps = Path::new(text)
            .components()
            .map(Step::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let has_wildcard = steps.iter().any(|step| matches!(step, Step::Glob { .. }));
        Ok(Self {
            has_wildcard,
            steps,
        })
    }
}

impl Step {
    fn parse(component: Component<'_>) -> Result<Self, String> {
        let text = component.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[', '{']) {
            return Ok(Self::Plain(PathBuf::from(component.as_os_str())));
        }
        if text.contains("**") {
            return Err("`**` is not supported: name the folders".to_owned());
        }
        let glob = GlobBuilder::new(&text).literal_separator(true).build();
        let glob = glob.map_err(|error| format!("this is not a pattern: {}", error.kind()))?;
        Ok(Self::Glob {
            matcher: glob.compile_matcher(),
            hidden: text.starts_with('.'),
        })
    }
}

/// What a pattern matches.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// Sorted.
    pub(crate) files: Vec<PathBuf>,
    /// Folders in which a wildcard looked.
    pub(crate) folders: Vec<PathBuf>,
}

/// The files that a pattern matches. Hidden files are left out unless the pattern starts with a
/// dot; folders never count as files of a wildcard.
pub(crate) fn matching_files(pattern: &Pattern, folder: &Path) -> Result<Matches, String> {
    let mut folders = Vec::new();
    let mut found = vec![folder.to_owned()];
    for (index, step) in pattern.steps.iter().enumerate() {
        let last = index + 1 == pattern.steps.len();
        found = match step {
            Step::Plain(name) => found.iter().map(|path| path.join(name)).collect(),
            Step::Glob { matcher, hidden } => {
                folders.extend(found.iter().cloned());
                let mut next = Vec::new();
                for path in &found {
                    next.extend(listing(path, matcher, *hidden)?);
                }
                if last {
                    next.retain(|path| !path.is_dir());
                }
                next
            }
        };
        if found.len() > MAX_INCLUDED_FILES {
            return Err(format!("this matches more than {MAX_INCLUDED_FILES} files"));
        }
    }
    if pattern.has_wildcard {
        found.retain(|path| path.exists());
    }
    found.sort();
    Ok(Matches {
        files: found,
        folders,
    })
}

fn listing(folder: &Path, matcher: &GlobMatcher, hidden: bool) -> Result<Vec<PathBuf>, String> {
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(entries) = std::fs::read_dir(here) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (count, entry) in entries.flatten().enumerate() {
        if count >= MAX_ENTRIES {
            return Err(format!(
                "{} holds more than {MAX_ENTRIES} entries",
                here.display()
            ));
        }
        let name = entry.file_name();
        if matcher.is_match(&name) && (hidden || !name.as_encoded_bytes().starts_with(b".")) {
            found.push(folder.join(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b/2.toml",
            "a/1.toml",
            "a/.hidden.toml",
            "a/3.txt",
            "a/sub.toml/x",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = matching_files(&Pattern::parse(pattern).unwrap(), folder.path()).unwrap();
        let relative = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().to_owned();
        found
            .files
            .iter()
            .map(|path| relative(path).display().to_string())
            .collect()
    }

    #[test]
    fn wildcards_match_in_every_part_and_come_sorted() {
        assert_eq!(names("*/*.toml"), ["a/1.toml", "b/2.toml"]);
        assert_eq!(names("{b,a}/?.t*"), ["a/1.toml", "a/3.txt", "b/2.toml"]);
    }

    #[test]
    fn hidden_files_match_only_when_the_pattern_says_so() {
        assert_eq!(names("a/.*.toml"), ["a/.hidden.toml"]);
    }

    #[test]
    fn a_plain_path_is_kept_whether_it_is_there_or_not() {
        assert_eq!(names("none.toml"), ["none.toml"]);
        assert!(names("none/*.toml").is_empty());
    }

    #[test]
    fn a_pattern_for_any_depth_is_refused() {
        assert!(Pattern::parse("**/*.toml").unwrap_err().contains("`**`"));
        assert!(Pattern::parse("").is_err());
    }
}
