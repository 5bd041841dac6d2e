//! The systemd units are right, and fit the program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what does not apply here is told")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pointsman_config::policy::Policy;
use pointsman_config::value::parse_duration;

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let Some(version) = systemd_version() else {
        eprintln!("skipped: systemd_finds_nothing_wrong_with_the_units: no systemd-analyze");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    install(place.path(), version);
    assert_eq!(complaints(place.path()), "");

    let wrong = place.path().join("pointsman.service");
    let text = fs::read_to_string(&wrong).unwrap();
    fs::write(&wrong, text.replace("KillMode=mixed", "KillMode=mixde")).unwrap();
    let said = complaints(place.path());
    assert!(said.contains("mixde"), "a mistake is found: {said}");

    fs::write(&wrong, text).unwrap();
    let wrong = place.path().join("pointsman-agent.service");
    let text = fs::read_to_string(&wrong).unwrap();
    fs::write(&wrong, text.replace("Restart=always", "Restart=alwais")).unwrap();
    let said = complaints(place.path());
    assert!(said.contains("alwais"), "a mistake is found: {said}");
}

#[test]
fn systemd_finds_nothing_wrong_with_what_contact_addresses_need() {
    const NAME: &str = "systemd_finds_nothing_wrong_with_what_contact_addresses_need";
    let Some(version) = systemd_version() else {
        eprintln!("skipped: {NAME}: no systemd-analyze");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    install(place.path(), version);
    let folder = place.path().join("pointsman.service.d");
    fs::create_dir_all(&folder).unwrap();
    // What stands there for BGP is right as well.
    let drop_in = unit("contact.conf").replace("\n#PrivateDevices", "\nPrivateDevices");
    let drop_in = drop_in.replace("\n#Device", "\nDevice");
    assert_eq!(drop_in.matches("\n#Priv").count(), 0);
    fs::write(folder.join("contact.conf"), &drop_in).unwrap();
    assert_eq!(complaints(place.path()), "");

    let wrong = drop_in.replace("AF_PACKET", "AF_PAKCET");
    fs::write(folder.join("contact.conf"), wrong).unwrap();
    let said = complaints(place.path());
    assert!(said.contains("AF_PAKCET"), "a mistake is found: {said}");
}

#[test]
fn systemd_calls_the_confinement_of_the_service_ok() {
    const NAME: &str = "systemd_calls_the_confinement_of_the_service_ok";
    if systemd_version().is_none_or(|version| version < 250) {
        eprintln!("skipped: {NAME}: no systemd-analyze, or one that judges no files");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let alone = place.path().join("pointsman.service");
    fs::write(&alone, unit("pointsman.service")).unwrap();
    assert!(exposure(&alone) < 2.5, "{}", exposure(&alone));
    // Contact addresses take three capabilities more, and it is still OK (below 5.0).
    let both = unit("pointsman.service") + &unit("contact.conf");
    fs::write(&alone, both).unwrap();
    assert!(exposure(&alone) < 5.0, "{}", exposure(&alone));
    // The judge does see what the service may do.
    let open = unit("pointsman.service").replace("CapabilityBoundingSet=", "#");
    fs::write(&alone, open.replace("User=", "#")).unwrap();
    assert!(exposure(&alone) > 2.5, "{}", exposure(&alone));
}

#[test]
fn systemd_finds_nothing_wrong_with_what_direct_return_needs_of_an_agent() {
    const NAME: &str = "systemd_finds_nothing_wrong_with_what_direct_return_needs_of_an_agent";
    let Some(version) = systemd_version() else {
        eprintln!("skipped: {NAME}: no systemd-analyze");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    install(place.path(), version);
    let folder = place.path().join("pointsman-agent.service.d");
    fs::create_dir_all(&folder).unwrap();
    // What stands there for tunnels is right as well.
    let mut drop_in = unit("agent-direct.conf");
    for key in ["Ambient", "Capability", "SystemCall"] {
        drop_in = drop_in.replace(&format!("\n#{key}"), &format!("\n{key}"));
    }
    fs::write(folder.join("direct.conf"), &drop_in).unwrap();
    assert_eq!(complaints(place.path()), "");

    let wrong = drop_in.replace("AF_NETLINK", "AF_NETLIKN");
    fs::write(folder.join("direct.conf"), wrong).unwrap();
    let said = complaints(place.path());
    assert!(said.contains("AF_NETLIKN"), "a mistake is found: {said}");
}

#[test]
fn the_service_may_take_longer_to_stop_than_the_switch_takes_to_drain() {
    let text = "[listener.web]\nbind = \":80\"\n[[route]]\npool = \"a\"\n\
                [pool.a]\nbackends = [\"127.0.0.1:1\"]\n";
    let policy = Policy::from_toml(text, Path::new("p.toml")).unwrap();
    let stop = parse_duration(&value("TimeoutStopSec")).unwrap();
    let margin = Duration::from_secs(5);
    assert!(stop >= policy.process.drain + margin, "{stop:?}");
}

#[test]
fn the_service_hears_the_new_process_and_the_old_one() {
    assert_eq!(value("NotifyAccess"), "all");
    assert_eq!(value("KillMode"), "mixed");
    assert_eq!(value("Type"), "notify-reload");
    // Long enough for a busy machine.
    let watchdog = parse_duration(&value("WatchdogSec")).unwrap();
    assert!(watchdog >= Duration::from_secs(10), "{watchdog:?}");
    let prevented = value("RestartPreventExitStatus");
    let codes: Vec<&str> = prevented.split(' ').collect();
    let (invalid, usage) = (pointsman::app::Exit::Invalid, pointsman::app::Exit::Usage);
    assert_eq!(
        codes,
        [(invalid as u8).to_string(), (usage as u8).to_string()]
    );
}

#[test]
fn with_contact_addresses_nobody_kills_the_guardian_before_it_has_done_its_work() {
    let text = unit("contact.conf");
    let has = |line: &str| text.lines().any(|written| written == line);
    // With `mixed`, what is left is killed when the main process has died.
    assert!(has("KillMode=control-group"), "{text}");
    for capability in ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF"] {
        for key in ["AmbientCapabilities=", "CapabilityBoundingSet="] {
            let mut lines = text.lines().filter(|line| line.starts_with(key));
            assert!(
                lines.any(|line| line.contains(capability)),
                "{key} {capability}"
            );
        }
    }
}

fn systemd_version() -> Option<u32> {
    let output = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Puts the units into a folder, as this version of systemd can have them.
fn install(place: &Path, version: u32) {
    // The program need not be installed where this runs.
    let mut service = unit("pointsman.service").replace("/usr/bin/pointsman", "/bin/true");
    if version < 253 {
        // What an older systemd does not know is what its drop-in replaces.
        service = service.replace("Type=notify-reload\n", "");
        let folder = place.join("pointsman.service.d");
        fs::create_dir(&folder).unwrap();
        let name = "before-systemd-253.conf";
        fs::write(folder.join(name), unit(name)).unwrap();
    }
    fs::write(place.join("pointsman.service"), service).unwrap();
    fs::write(place.join("pointsman.socket"), unit("pointsman.socket")).unwrap();
    let agent = unit("pointsman-agent.service").replace("/usr/bin/pointsman-backend", "/bin/true");
    fs::write(place.join("pointsman-agent.service"), agent).unwrap();
}

/// What systemd finds wrong with the units in a folder, and nothing else that it says.
fn complaints(place: &Path) -> String {
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(
            [
                "pointsman.service",
                "pointsman.socket",
                "pointsman-agent.service",
            ]
            .map(|name| place.join(name)),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("pointsman"))
        .collect();
    match (verified.status.success(), ours.as_slice()) {
        (true, []) => String::new(),
        _ => said,
    }
}

/// From 0 (confined) to 10 (exposed), as `systemd-analyze security` judges.
fn exposure(service: &Path) -> f64 {
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(service)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stdout).into_owned();
    let (_, level) = said.rsplit_once(".service: ").expect("it judges");
    level.split(' ').next().unwrap().parse().unwrap()
}

fn unit(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// Of a key of the service, which stands there once.
fn value(key: &str) -> String {
    let text = unit("pointsman.service");
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = values.next().unwrap().to_owned();
    assert_eq!(values.next(), None, "{key}");
    value
}
