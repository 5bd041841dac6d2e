//! What is in the package, and what Debian says of it.

use std::process::Command;

use crate::made::{Packages, needs, run, skip};

#[test]
fn lintian_finds_no_error() {
    let packages = match needs(&["lintian"]).and_then(|()| Packages::made()) {
        Ok(packages) => packages,
        Err(why) => return skip("lintian_finds_no_error", &why),
    };
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--tag-display-limit", "0"]);
    if rustix::process::geteuid().is_root() {
        lintian.arg("--allow-root");
    }
    let told = run(lintian.arg(packages.first()));
    assert!(!told.lines().any(|line| line.starts_with("E:")), "{told}");
}

#[test]
fn the_package_holds_program_pages_completions_units_policy_and_licence() {
    const NAME: &str = "the_package_holds_program_pages_completions_units_policy_and_licence";
    let packages = match Packages::made() {
        Ok(packages) => packages,
        Err(why) => return skip(NAME, &why),
    };
    let content = run(Command::new("dpkg-deb")
        .arg("--contents")
        .arg(packages.first()));
    let doc = "./usr/share/doc/pointsman";
    let wanted = [
        "./usr/bin/pointsman",
        "./usr/share/man/man1/pointsman.1.gz",
        "./usr/share/man/man1/pointsman-backend-drain.1.gz",
        "./usr/share/bash-completion/completions/pointsman",
        "./usr/share/zsh/vendor-completions/_pointsman",
        "./usr/share/fish/vendor_completions.d/pointsman.fish",
        "./usr/lib/systemd/system/pointsman.service",
        "./usr/lib/systemd/system/pointsman.socket",
        "./usr/share/pointsman/systemd/contact.conf",
        "./usr/share/pointsman/pointsman.schema.json",
        "./usr/lib/sysusers.d/pointsman.conf",
        "./etc/pointsman/pointsman.toml",
        "./etc/logrotate.d/pointsman",
        &format!("{doc}/copyright"),
        &format!("{doc}/docs/operate.md"),
        &format!("{doc}/docs/howto/tls.md"),
        &format!("{doc}/docs/migrate/nginx.md"),
        &format!("{doc}/examples/policies/first.toml"),
    ];
    for file in wanted {
        let is_there = content
            .lines()
            .any(|line| line.ends_with(&format!(" {file}")));
        assert!(is_there, "{file} is missing:\n{content}");
    }
    // Numbers, as no user of the building machine is meant.
    let is_roots = |line: &str| line.contains(" 0/0 ") || line.contains(" root/root ");
    assert!(content.lines().all(is_roots), "{content}");
}
