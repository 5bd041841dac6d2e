//! What a package goes through on a machine.

use crate::machine::Machine;
use crate::made::{Packages, skip};

/// A machine on which the package is installed, or the end of a test that cannot be here.
macro_rules! installed {
    ($test:literal) => {
        match Packages::made().and_then(|packages| Ok((packages, Machine::boot()?))) {
            Ok((packages, machine)) => {
                machine.install(&packages.first());
                (packages, machine)
            }
            Err(why) => return skip($test, &why),
        }
    };
}

/// Answers with this text.
fn policy(bind: &str, text: &str) -> String {
    format!(
        "cat >/etc/pointsman/pointsman.toml <<'END'\n[listener.web]\nbind = \"{bind}\"\n\
         [[route]]\nrespond = {{ body = \"{text}\" }}\nEND\n"
    )
}

#[test]
fn it_serves_after_the_installation_with_no_more_rights_than_it_needs() {
    let (_, machine) =
        installed!("it_serves_after_the_installation_with_no_more_rights_than_it_needs");
    assert_eq!(
        machine.bash("systemctl is-enabled pointsman").trim(),
        "enabled"
    );
    machine.wait_until("curl -fs http://127.0.0.1:8080/ | grep 'Pointsman runs here'");
    let told = machine.bash("pointsman status && pointsman check && man=/usr/share/man/man1 && \
                             zcat $man/pointsman-upgrade.1.gz && bash -n /usr/share/bash-completion/completions/pointsman");
    assert!(
        told.contains("listener web  http  127.0.0.1:8080"),
        "{told}"
    );
    let pid = machine.show("MainPID");
    assert_eq!(
        machine.bash(&format!("stat -c %U:%G /proc/{pid}")).trim(),
        "pointsman:pointsman"
    );
    let status = machine.bash(&format!("cat /proc/{pid}/status"));
    for line in [
        "CapEff:\t0000000000000400",
        "CapBnd:\t0000000000000400",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(status.contains(line), "{line}\n{status}");
    }
    // CAP_NET_BIND_SERVICE is used.
    machine.bash(&format!(
        "{}systemctl reload pointsman",
        policy(":80", "at 80")
    ));
    machine.wait_until("curl -fs http://127.0.0.1/ | grep 'at 80'");
    assert_eq!(
        machine.bash("systemctl list-units --failed --no-legend 'pointsman*'"),
        ""
    );
}

#[test]
fn a_reload_puts_a_policy_into_force_and_a_wrong_one_changes_nothing() {
    let (_, machine) =
        installed!("a_reload_puts_a_policy_into_force_and_a_wrong_one_changes_nothing");
    let pid = machine.show("MainPID");
    machine.bash(&format!(
        "{}systemctl reload pointsman",
        policy("127.0.0.1:8080", "second")
    ));
    machine.wait_until("curl -fs http://127.0.0.1:8080/ | grep second");
    machine.bash("echo 'bakends = 1' >>/etc/pointsman/pointsman.toml; systemctl reload pointsman");
    machine.wait_until("journalctl -u pointsman | grep 'nothing was changed'");
    assert_eq!(machine.bash("curl -fs http://127.0.0.1:8080/"), "second");
    assert_eq!(machine.show("MainPID"), pid);
    assert_eq!(machine.show("ActiveState"), "active");
}

#[test]
fn an_upgrade_of_the_package_loses_no_request_and_keeps_the_policy() {
    let (packages, machine) =
        installed!("an_upgrade_of_the_package_loses_no_request_and_keeps_the_policy");
    machine.bash(&format!(
        "{}systemctl reload pointsman",
        policy("127.0.0.1:8080", "mine")
    ));
    machine.wait_until("curl -fs http://127.0.0.1:8080/ | grep mine");
    let old = machine.show("MainPID");
    let asking = "rm -f /tmp/stop /tmp/codes; until [ -e /tmp/stop ]; do \
                  curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8080/ >>/tmp/codes; done";
    let keeping = r#"exec 3<>/dev/tcp/127.0.0.1/8080
        ask() { printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3; read -r -t 10 line <&3; echo "$line"
                until [ "$word" = mine ]; do read -r -t 10 -n 4 word <&3; done; word=; }
        ask >/tmp/kept; touch /tmp/asked; until [ -e /tmp/stop ]; do sleep 0.1; done; ask >>/tmp/kept"#;
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| machine.bash(asking));
        let kept = scope.spawn(|| machine.bash(keeping));
        machine.wait_until("[ -e /tmp/asked -a -s /tmp/codes ]");
        let said = machine.install(&packages.second());
        assert!(said.contains("has taken over"), "{said}");
        machine.bash("sleep 1; touch /tmp/stop");
        asked.join().unwrap();
        kept.join().unwrap();
    });
    assert_eq!(machine.bash("sort -u /tmp/codes").trim(), "200");
    assert_eq!(machine.bash("cat /tmp/kept").matches("200 OK").count(), 2);
    assert_eq!(machine.bash("curl -fs http://127.0.0.1:8080/"), "mine");
    machine.wait_until(&format!("[ ! -e /proc/{old} ]"));
    assert_ne!(machine.show("MainPID"), old);
    assert_eq!(machine.show("NRestarts"), "0");
    assert_eq!(machine.show("ActiveState"), "active");
    let version = machine.bash("dpkg-query -W -f '${Version}' pointsman");
    assert_eq!(version, "0.1.0-2");
}

#[test]
fn a_restart_refuses_nobody_while_systemd_holds_the_socket() {
    let (_, machine) = installed!("a_restart_refuses_nobody_while_systemd_holds_the_socket");
    machine.bash(&format!(
        "systemctl stop pointsman; {} mkdir -p /etc/systemd/system/pointsman.socket.d
         printf '[Socket]\nListenStream=\nListenStream=80\n' >/etc/systemd/system/pointsman.socket.d/ports.conf
         systemctl daemon-reload; systemctl enable --now pointsman.socket",
        policy(":80", "activated")
    ));
    // The first connection starts it.
    assert_eq!(
        machine.bash("systemctl is-active pointsman || true").trim(),
        "inactive"
    );
    assert_eq!(machine.bash("curl -fsm 30 http://127.0.0.1/"), "activated");
    let old = machine.show("MainPID");
    let asking = "rm -f /tmp/stop /tmp/codes; until [ -e /tmp/stop ]; do \
                  curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1/ >>/tmp/codes; done";
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| machine.bash(asking));
        machine.wait_until("[ -s /tmp/codes ]");
        machine.bash("systemctl restart pointsman; sleep 1; touch /tmp/stop");
        asked.join().unwrap();
    });
    assert_ne!(machine.show("MainPID"), old);
    assert_eq!(machine.bash("sort -u /tmp/codes").trim(), "200");
}

#[test]
fn the_watchdog_replaces_a_switch_that_hangs() {
    let (_, machine) = installed!("the_watchdog_replaces_a_switch_that_hangs");
    machine.bash(
        "mkdir -p /etc/systemd/system/pointsman.service.d
         printf '[Service]\nWatchdogSec=2s\n' >/etc/systemd/system/pointsman.service.d/soon.conf
         systemctl daemon-reload; systemctl restart pointsman; sleep 5",
    );
    assert_eq!(
        machine.show("NRestarts"),
        "0",
        "it tells the watchdog that it lives"
    );
    let old = machine.show("MainPID");
    machine.bash(&format!("kill -STOP {old}"));
    machine.wait_until(&format!(
        "[ ! -e /proc/{old} ] && curl -fsm 2 http://127.0.0.1:8080/"
    ));
    assert_eq!(machine.show("NRestarts"), "1");
}

#[test]
fn a_removal_stops_it_and_a_purge_leaves_nothing_but_the_user() {
    let (packages, machine) =
        installed!("a_removal_stops_it_and_a_purge_leaves_nothing_but_the_user");
    let pid = machine.show("MainPID");
    machine.bash("touch /var/log/pointsman/access.log; dpkg -r pointsman");
    machine.bash(&format!(
        "[ ! -e /proc/{pid} ] && [ ! -e /usr/bin/pointsman ]"
    ));
    machine.bash("[ -e /etc/pointsman/pointsman.toml ]");
    // It comes back as it was.
    machine.install(&packages.first());
    machine.wait_until("curl -fs http://127.0.0.1:8080/");
    machine.bash("dpkg -P pointsman; systemctl daemon-reload");
    let left = machine.bash(
        "find /etc /usr /var /run -xdev -name '*pointsman*' -not -path '/var/lib/dpkg/*' \
         -not -path '/var/log/journal/*' -not -path '/var/cache/*' 2>/dev/null || true",
    );
    assert_eq!(left, "");
    assert_eq!(
        machine.bash("systemctl list-units --failed --no-legend 'pointsman*'"),
        ""
    );
    machine.bash("getent passwd pointsman");
}
