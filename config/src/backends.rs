//! Files of backends, which `discover.file` of a pool names: `backends = [...]` as in the pool itself.

use std::path::Path;

use crate::check::check_twins;
use crate::decode::backends_file;
use crate::diagnostics::Diagnostics;
use crate::policy::Backend;
use crate::report::Report;
use crate::source::{MAX_POLICY_BYTES, Place, parse, read_text};

/// Reads a file of backends; the list may be empty. Variables are not replaced.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(path: &Path) -> Result<Vec<Backend>, Report> {
    // To open a pipe may take forever.
    let text = match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(format!("{} is not a file", path.display())),
        _ => read_text(path, MAX_POLICY_BYTES),
    };
    match text {
        Ok(text) => of_text(&text, path),
        Err(message) => {
            let mut d = Diagnostics::default();
            let source = d.sources.add(path, "");
            d.error(Place::whole(source), "unreadable-file", message);
            Err(d.into_report())
        }
    }
}

/// Reads a text as if it stood in a file of this name.
///
/// # Errors
/// Everything that is wrong with it.
pub fn of_text(text: &str, path: &Path) -> Result<Vec<Backend>, Report> {
    let mut d = Diagnostics::default();
    let source = d.sources.add(path, text);
    let (root, errors) = parse(source, text);
    for error in errors {
        let place = Place::new(source, error.span);
        let found = d.error(place, "syntax", error.message);
        if let Some(help) = error.help {
            found.help(help);
        }
    }
    if d.errors() > 0 {
        return Err(d.into_report());
    }
    let (backends, places) = backends_file(&root, &mut d);
    check_twins("the list", &backends, &places, &mut d);
    match d.errors() {
        0 => Ok(backends),
        _ => Err(d.into_report()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::BackendAddr;

    fn problem(text: &str) -> String {
        let report = of_text(text, Path::new("app.backends.toml")).unwrap_err();
        let problem = &report.problems[0];
        format!("{}:{}: {}", problem.line, problem.column, problem.message)
    }

    #[test]
    fn a_file_holds_backends_as_a_pool_does() {
        let text = "# made by a program\nbackends = [\"10.0.0.1:80\", { addr = \"app.test:80\", \
                    weight = 3, name = \"a\" }]\n";
        let got = of_text(text, Path::new("x")).unwrap();
        assert_eq!(got.len(), 2);
        assert_eq!((got[1].weight, got[1].name.as_str()), (3, "a"));
        assert_eq!(got[1].addr, BackendAddr::Name("app.test".into(), 80));
        assert_eq!(of_text("backends = []", Path::new("x")).unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert!(problem("").contains("needs `backends`"));
        assert!(problem("backends = [\n \"10.0.0.1\"]").starts_with("2:2: "));
        assert!(of_text("backends = [\"10.0.0.1:80\",\n", Path::new("x")).is_err());
        assert!(problem("backend = []").contains("unknown key `backend`"));
        let twice = "backends = [\"10.0.0.1:80\", \"10.0.0.1:80\"]";
        assert_eq!(problem(twice), "1:28: the list has this backend twice");
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let report = read(Path::new("/nowhere/app.backends.toml")).unwrap_err();
        assert_eq!(report.problems[0].code, "unreadable-file");
        assert!(read(Path::new("/dev/null")).is_err());
    }
}
