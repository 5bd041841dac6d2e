//! The container file and the examples of compose and Kubernetes are right, and fit the program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what does not apply here is told")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pointsman_config::policy::Policy;

#[test]
fn the_policies_of_the_examples_pass_their_check() {
    let inside = fs::read_to_string(file("kubernetes/pointsman.yaml")).unwrap();
    let container = fs::read_to_string(file("container/pointsman.toml")).unwrap();
    for text in [block(&inside, "pointsman.toml"), container] {
        let policy = Policy::from_toml(&text, Path::new("pointsman.toml"))
            .unwrap_or_else(|report| panic!("{report}"));
        assert!(policy.warnings.is_empty(), "{}", policy.warnings);
        assert_eq!(policy.pools.len(), 1);
    }
}

#[test]
fn the_container_file_copies_what_is_there_and_runs_as_nobody_s_root() {
    let text = fs::read_to_string(file("container/Containerfile")).unwrap();
    let (_, last) = text.rsplit_once("\nFROM ").unwrap();
    assert!(last.contains("\nUSER 990:990\n"), "{last}");
    assert!(last.contains("\nHEALTHCHECK "), "{last}");
    for line in text.lines() {
        let copied = line
            .strip_prefix("COPY ")
            .filter(|line| !line.starts_with("--from"));
        if let Some(source) = copied.and_then(|line| line.split(' ').next()) {
            assert!(file("..").join(source).exists(), "{source}");
        }
    }
    // The compiler is no older than the program asks.
    let cargo = fs::read_to_string(file("../Cargo.toml")).unwrap();
    let version = cargo
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let image = format!("library/rust:{}-", version.unwrap().trim_matches('"'));
    assert!(text.contains(&image), "{image}");
}

#[test]
fn the_pods_and_containers_have_longer_to_end_than_the_switch_drains() {
    let policy = "[listener.web]\nbind = \":80\"\n[[route]]\npool = \"a\"\n\
                  [pool.a]\nbackends = [\"127.0.0.1:1\"]\n";
    let policy = Policy::from_toml(policy, Path::new("p.toml")).unwrap();
    let drain = policy.process.drain.as_secs();
    let number = |name: &str, key: &str| -> u64 {
        let text = fs::read_to_string(file(name)).unwrap();
        let value = text.lines().find_map(|line| line.trim().strip_prefix(key));
        value.unwrap().trim().trim_end_matches('s').parse().unwrap()
    };
    assert!(number("container/compose.yaml", "stop_grace_period:") > drain);
    let pod = number(
        "kubernetes/pointsman.yaml",
        "terminationGracePeriodSeconds:",
    );
    assert!(pod > drain + 5, "{pod}");
}

#[test]
fn compose_accepts_its_example() {
    let example = file("container/compose.yaml");
    let tries: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    let Some(words) = tries.into_iter().find(|words| answers(words)) else {
        eprintln!("skipped: compose_accepts_its_example: no docker compose");
        return;
    };
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg("-f")
        .arg(example)
        .args(["config", "--quiet"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_schemas_of_kubernetes_accept_its_example() {
    let tries: [&[&str]; 2] = [
        &["kubeconform", "-strict"],
        &["kubernetes-validate", "--strict"],
    ];
    let said = tries.into_iter().find_map(|words| {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg(file("kubernetes/pointsman.yaml"));
        command.output().ok()
    });
    let Some(output) = said else {
        eprintln!(
            "skipped: the_schemas_of_kubernetes_accept_its_example: no kubeconform, no \
             kubernetes-validate"
        );
        return;
    };
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "{}", said.concat());
}

fn answers(words: &[&str]) -> bool {
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg("version")
        .output();
    output.is_ok_and(|output| output.status.success())
}

/// What stands below a key with `|`, less its indentation.
fn block(text: &str, key: &str) -> String {
    let (_, below) = text.split_once(&format!("  {key}: |\n")).unwrap();
    let lines = below
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    lines
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
