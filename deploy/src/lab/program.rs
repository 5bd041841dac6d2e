//! The programs of this workspace.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::run::run;

/// The path of `pointsman` or `pointsman-backend`: in the folder POINTSMAN_BIN_DIR, else the one
/// that was built as the running program was. It is built when it is missing or older than the
/// sources.
///
/// # Panics
///
/// When it cannot be built, with what cargo said.
pub fn program(name: &str) -> PathBuf {
    static BUILD: Mutex<()> = Mutex::new(());
    if let Some(folder) = env::var_os("POINTSMAN_BIN_DIR") {
        return Path::new(&folder).join(name);
    }
    let folder = folder_of_builds();
    let file = folder.join(name);
    let _one_at_a_time = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
    if changed(&file).is_none_or(|built| built < newest_source()) {
        build(name, &folder);
    }
    file
}

/// Such as `target/debug`: tests stand in `deps` below it, examples in `examples`.
fn folder_of_builds() -> PathBuf {
    let this = env::current_exe().expect("the running program has a path");
    let folder = this.parent().expect("a program is in a folder");
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("deps" | "examples") => folder.parent().expect("they are in a folder").to_owned(),
        _ => folder.to_owned(),
    }
}

fn build(name: &str, folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", name, "--bin", name])
        .args(["--profile", profile, "--target-dir"])
        .arg(folder.parent().expect("a profile's folder is in one"))
        .current_dir(workspace());
    run(&mut command);
}

fn newest_source() -> SystemTime {
    let members = ["config", "backend", "switch"];
    let newest = members.map(|member| newest_in(&workspace().join(member).join("src")));
    newest.into_iter().max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn newest_in(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries.map(|entry| match entry.path() {
        path if path.is_dir() => newest_in(&path),
        path => changed(&path).unwrap_or(SystemTime::UNIX_EPOCH),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
