//! The page about the command line is what the programs say themselves. To make it anew:
//! `POINTSMAN_WRITE_DOCS=1 cargo test -p pointsman-deploy --test book command_line`.

use std::fs;
use std::process::Command;

use pointsman_deploy::lab::program;

use crate::pages::root;

const PAGE: &str = "docs/command-line.md";
const HEAD: &str = "\
# Command line

Made from what the programs say; do not edit. `pointsman help COMMAND` shows the same.
[operate.md](operate.md) tells when each is of use and what exit codes mean.
";

#[test]
fn the_command_line_reference_is_up_to_date() {
    let mut made = HEAD.to_owned();
    for name in ["pointsman", "pointsman-backend"] {
        add(&mut made, name, &[]);
    }
    if std::env::var_os("POINTSMAN_WRITE_DOCS").is_some() {
        return fs::write(root().join(PAGE), made).unwrap();
    }
    let written = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    assert!(
        written == made,
        "{PAGE} is out of date: POINTSMAN_WRITE_DOCS=1 cargo test -p pointsman-deploy --test book \
         command_line"
    );
    assert!(made.matches("\n### ").count() > 15, "{made}");
}

/// Adds what `--help` of a command says, and of all commands below it.
fn add(page: &mut String, name: &str, words: &[&str]) {
    let said = help(name, words);
    let level = "#".repeat((words.len() + 2).min(4));
    let command = [&[name], words].concat().join(" ");
    *page += &format!(
        "\n{level} `{command}`\n\n```text\n{}\n```\n",
        said.trim_end()
    );
    for below in subcommands(&said) {
        add(page, name, &[words, &[below]].concat());
    }
}

fn help(name: &str, words: &[&str]) -> String {
    let said = Command::new(program(name))
        .args(words)
        .arg("--help")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(said.status.success(), "{name} {words:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// What stands below `Commands:`.
fn subcommands(said: &str) -> Vec<&str> {
    let lines = said.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}
