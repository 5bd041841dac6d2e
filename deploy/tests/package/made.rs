//! The package, made of the program that the tests run.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use pointsman_deploy::lab::program;
use tempfile::TempDir;

/// Packages of two versions, the second one the newer.
pub struct Packages {
    folder: TempDir,
}

impl Packages {
    /// Those of this program.
    ///
    /// # Errors
    /// Why none can be made here.
    pub fn made() -> Result<&'static Self, String> {
        static MADE: OnceLock<Packages> = OnceLock::new();
        needs(&["cargo-deb", "dpkg-deb", "dpkg-shlibdeps", "strip"])?;
        Ok(MADE.get_or_init(make))
    }

    pub fn first(&self) -> PathBuf {
        self.folder.path().join("first.deb")
    }

    pub fn second(&self) -> PathBuf {
        self.folder.path().join("second.deb")
    }
}

/// # Errors
/// One of the programs is not installed.
pub fn needs(programs: &[&str]) -> Result<(), String> {
    let found = |program: &&&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .any(|folder| folder.join(program).is_file())
    };
    match programs.iter().find(|program| !found(program)) {
        Some(missing) => Err(format!("no {missing}")),
        None => Ok(()),
    }
}

/// Tells that a test does not apply here, past the capture of a test's output.
pub fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// What a program prints, which must end well.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn make() -> Packages {
    let folder = tempfile::tempdir().unwrap();
    let release = folder.path().join("release");
    fs::create_dir(&release).unwrap();
    let stripped = release.join("pointsman");
    run(Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(program("pointsman")));
    let (first, second) = (
        folder.path().join("first.deb"),
        folder.path().join("second.deb"),
    );
    package(folder.path(), &["-o", first.to_str().unwrap()]);
    let newer = ["--deb-version", "0.1.0-2", "-o", second.to_str().unwrap()];
    package(folder.path(), &newer);
    Packages { folder }
}

fn package(target: &Path, args: &[&str]) {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("debian/build");
    run(Command::new(build)
        .args([
            "--no-build",
            "--no-strip",
            "--no-dbgsym",
            "--fast",
            "--offline",
        ])
        .args(args)
        .env("CARGO_TARGET_DIR", target));
}
