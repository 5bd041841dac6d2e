//! Laying out policies, and what the program prints of itself.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pointsman_config::policy::Policy;

use crate::support::*;

/// Every policy of the project that is TOML.
fn policies() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![
        root.join("deploy"),
        root.join("config/tests"),
        root.join("fuzz/corpus/config"),
        root.join("switch/src"),
    ];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "toml")
                && !path.ends_with("Cargo.toml")
            {
                found.push(path);
            }
        }
    }
    found
}

fn write(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn every_policy_is_laid_out_once_and_means_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut right, mut all) = (0, 0);
    for source in policies() {
        let copy = folder.path().join("p.toml");
        std::fs::copy(&source, &copy).expect("copied");
        let before = Policy::from_path(&copy);
        let (code, out, err) = run(&["fmt", write(&copy)]);
        if code == 1 {
            assert!(err.contains("error["), "{}: {err}", source.display());
            let unchanged = std::fs::read(&source).ok() == std::fs::read(&copy).ok();
            assert!(unchanged, "what is not TOML stays as it is");
            continue;
        }
        assert_eq!((code, out.as_str()), (0, ""), "{}: {err}", source.display());
        all += 1;
        let once = std::fs::read_to_string(&copy).expect("there");
        let (code, _, err) = run(&["fmt", "--check", write(&copy)]);
        assert_eq!(code, 0, "{}: {err}", source.display());
        let after = Policy::from_path(&copy);
        match (before, after) {
            (Ok(before), Ok(after)) => {
                right += 1;
                assert_eq!(before.shared_digest, after.shared_digest);
                assert_eq!(before.outline.changes(&after.outline), []);
            }
            (before, after) => assert_eq!(before.is_ok(), after.is_ok(), "{once}"),
        }
    }
    assert!(all > 30 && right > 8, "{all} files, {right} right policies");
}

#[test]
fn the_policies_that_are_shipped_are_laid_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/policies");
    for entry in std::fs::read_dir(root).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "toml") {
            let (code, out, _) = run(&["fmt", "--diff", write(&path)]);
            assert_eq!((code, out.as_str()), (0, ""));
        }
    }
}

#[test]
fn a_file_is_replaced_whole_with_its_permissions_or_only_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, link) = (
        folder.path().join("p.toml"),
        folder.path().join("link.toml"),
    );
    let text = "# kept\n[listener.web]\nbind=\":80\"\n[[route]]\npool='app'\n[pool.app]\nbackends=[\"a:1\"]\n";
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("set");
    std::os::unix::fs::symlink(&file, &link).expect("linked");
    let (code, out, _) = run(&["fmt", "--diff", write(&file)]);
    assert_eq!(code, 1);
    assert!(out.contains("-bind=\":80\"\n+bind = \":80\"\n"), "{out}");
    assert_eq!(run(&["fmt", "--check", write(&file)]).0, 1);
    assert_eq!(std::fs::read_to_string(&file).expect("there"), text);
    assert_eq!(run(&["fmt", write(&link)]).0, 0);
    assert!(link.is_symlink(), "a link stays one");
    let new = std::fs::read_to_string(&file).expect("there");
    assert!(
        new.starts_with("# kept\n[listener.web]\nbind = \":80\"\n\n[[route]]"),
        "{new}"
    );
    let mode = std::fs::metadata(&file)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 2, "nothing else is left there");
    std::fs::write(&file, "[listener.web").expect("written");
    let (code, _, err) = run(&["fmt", write(&file)]);
    assert_eq!(code, 1);
    assert!(err.contains("p.toml:1"), "{err}");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let mut command = pointsman(&["fmt", "-"]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(b"a=1 # x\n\n\n[b]").expect("sent");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(output.stdout, b"a = 1  # x\n\n[b]\n");
}

#[test]
fn a_first_policy_is_written_and_never_over_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pointsman.toml");
    assert_eq!(run(&["init", write(&file)]).0, 0);
    assert_eq!(run(&["check", write(&file)]).0, 0);
    std::fs::write(&file, "mine").expect("written");
    assert_eq!(run(&["init", write(&file)]).0, 4);
    assert_eq!(std::fs::read(&file).expect("there"), b"mine");
}

#[test]
fn completions_and_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&["completions", shell]);
        assert_eq!(code, 0);
        for word in ["drain", "events", "explain", "clear", "--token-file"] {
            let word = if shell == "fish" {
                word.trim_start_matches("--")
            } else {
                word
            };
            assert!(out.contains(word), "{word} is not in that of {shell}");
        }
    }
    let (code, out, _) = run(&["man"]);
    assert_eq!(code, 0);
    assert!(out.contains(".TH pointsman 1"), "{out}");
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run(&["man", "--dir", write(folder.path())]).0, 0);
    for page in [
        "pointsman.1",
        "pointsman-plan.1",
        "pointsman-backend-drain.1",
        "pointsman-direct-clear.1",
    ] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}
