//! Policies that are accepted and refused, each with what is expected beside it in a `.txt` file.
//! `BLESS=1 cargo test` writes those files anew; look at the difference before keeping it.

use std::fs;
use std::path::{Path, PathBuf};

use pointsman_config::policy::Policy;

#[test]
fn accepted_policies_mean_what_stands_beside_them() {
    for path in policies("tests/accepted") {
        let policy = Policy::from_path(&path).unwrap_or_else(|report| panic!("{report}"));
        let mut shown = format!("{policy:#?}\n");
        // The report of the warnings comes as an operator sees it.
        shown.truncate(
            shown
                .find("    warnings: Report")
                .expect("warnings are shown last"),
        );
        shown.push_str(&format!("}}\n\n{}", policy.warnings));
        compare(&path, &shown);
    }
}

#[test]
fn refused_policies_are_refused_in_the_words_beside_them() {
    for path in policies("tests/refused") {
        let report = Policy::from_path(&path).expect_err("a refused policy");
        assert!(report.has_errors());
        compare(&path, &report.render_text(false));
    }
}

fn policies(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of policies");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    assert!(paths.len() > 5, "{folder} holds {} policies", paths.len());
    paths
}

fn compare(path: &Path, shown: &str) {
    let expected = path.with_extension("txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&expected, shown).expect("the expectation is written");
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(
        shown,
        wanted,
        "{} differs from {}",
        path.display(),
        expected.display()
    );
}
