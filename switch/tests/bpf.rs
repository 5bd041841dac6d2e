//! The BPF objects of the repository are what `switch/bpf/build` makes of their sources.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "common/mod.rs"]
mod support;

#[test]
fn the_committed_objects_are_what_their_sources_compile_to() {
    const NAME: &str = "the_committed_objects_are_what_their_sources_compile_to";
    if let Some(missing) = missing() {
        return support::skip(NAME, &missing);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, folder) in [
        ("relay", "bpf"),
        ("direct", "bpf"),
        ("decap", "../backend/bpf"),
    ] {
        let made = tempfile::tempdir().unwrap();
        let object = made.path().join("made.o");
        let output = Command::new(root.join("bpf/build"))
            .arg(name)
            .arg(&object)
            .output()
            .unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{messages}");
        let committed = root.join(folder).join(format!("{name}.bpf.o"));
        assert!(
            fs::read(object).unwrap() == fs::read(committed).unwrap(),
            "{folder}/{name}.bpf.o is not what its source compiles to: run switch/bpf/build"
        );
    }
}

/// What the objects cannot be built without.
fn missing() -> Option<String> {
    let version = |program: &str| Command::new(program).arg("--version").output();
    let is_14 = |program: &&str| {
        let output = version(program).map(|output| output.stdout);
        output.is_ok_and(|text| String::from_utf8_lossy(&text).contains("clang version 14."))
    };
    // As the script looks for them.
    if !["clang-14", "clang"].iter().any(is_14) {
        return Some("there is no clang 14, which wrote the object".to_owned());
    }
    if !["llvm-strip-14", "llvm-strip"]
        .iter()
        .any(|program| version(program).is_ok())
    {
        return Some("there is no llvm-strip".to_owned());
    }
    let headers = "/usr/include/bpf/bpf_helpers.h";
    (!Path::new(headers).exists()).then(|| format!("there is no {headers} (libbpf-dev)"))
}
