//! Backends that are found: by a real name server, and in a file that others write.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::WebSocket;
use crate::crowd::Crowd;
use crate::programs::program;
use crate::support::*;

/// dnsmasq, which answers for `internal` out of a hosts file; what it says holds for a second.
struct NameServer {
    address: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl NameServer {
    fn start(hosts: &str, more: &[String]) -> Self {
        Self::start_at(free_address(), hosts, more)
    }

    fn start_at(address: SocketAddr, hosts: &str, more: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hosts");
        fs::write(&file, hosts).expect("written");
        let mut command = program("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--local=/internal/",
            "--local-ttl=1",
        ]);
        command.arg(format!("--port={}", address.port()));
        command.arg(format!("--addn-hosts={}", file.display()));
        let pid = folder.path().join("pid");
        command.arg(format!("--pid-file={}", pid.display()));
        if getuid().is_root() {
            // The folder is root's own.
            command.args(["--user=root", "--group=root"]);
        }
        let child = command.args(more).stderr(Stdio::null()).spawn();
        let child = child
            .unwrap_or_else(|error| panic!("dnsmasq does not start ({error}); ./test installs it"));
        wait_until("the name server answers", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self {
            address,
            folder,
            child,
        }
    }

    /// Says something else from now on.
    fn change(&self, hosts: &str) {
        replace(&self.folder.path().join("hosts"), hosts);
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("it lives");
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(&new, path).expect("renamed");
}

/// A policy whose one pool has these keys.
fn discovering(keys: &str) -> String {
    policy(&[], keys).replace("backends = []\n", "")
}

/// Servers at one port of different addresses.
fn neighbours<const N: usize>(names: [&str; N]) -> [Backend; N] {
    let first = Backend::start_at(names[0], ([127, 0, 0, 2], 0).into());
    let port = first.address.port();
    let mut first = Some(first);
    let mut host = 1;
    names.map(|name| {
        host += 1;
        let later = || Backend::start_at(name, ([127, 0, 0, host], port).into());
        first.take().unwrap_or_else(later)
    })
}

fn source(switch: &Switch) -> Value {
    switch.status()["sources"][0].clone()
}

#[track_caller]
fn wait_for_source(switch: &Switch, state: &str, backends: usize) {
    wait_until(&format!("{backends} backends, {state}"), || {
        let source = source(switch);
        source["state"] == state && source["backends"] == backends
    });
}

fn names(switch: &Switch) -> Vec<String> {
    let status = switch.status();
    let backends = status["pools"][0]["backends"].as_array().expect("a list");
    let name = |one: &Value| one["name"].as_str().expect("a word").to_owned();
    backends.iter().map(name).collect()
}

#[test]
fn addresses_are_followed_as_their_ttl_says_and_stay_while_the_name_server_is_dead() {
    let [two, three] = neighbours(["two", "three"]);
    let port = two.address.port();
    let server = NameServer::start("127.0.0.2 app.internal\n", &[]);
    let at = server.address;
    let switch = Switch::start(&discovering(&format!(
        "discover = {{ dns = \"app.internal:{port}\", resolvers = \"{at}\" }}"
    )));
    wait_for_source(&switch, "found", 1);
    assert_eq!(switch.get("/"), (200, "two\n".to_owned()));
    let crowd = Crowd::start(4, switch.address("web"), "/");
    server.change("127.0.0.2 app.internal\n127.0.0.3 app.internal\n");
    wait_for_source(&switch, "found", 2);
    let before = switch.status()["pools"][0]["backends"][0]["requests"].as_u64();
    server.change("127.0.0.3 app.internal\n");
    wait_for_source(&switch, "found", 1);
    assert_eq!(names(&switch), [three.address.to_string()]);
    drop(server);
    wait_for_source(&switch, "stale", 1);
    assert_eq!(switch.get("/"), (200, "three\n".to_owned()));
    let source = source(&switch);
    assert!(source["error"].is_string(), "{source}");
    let label = format!("{{source=\"dns app.internal:{port} @{at}\"");
    let metrics = switch.admin("GET", "/metrics").1;
    assert!(metrics.contains(&format!("pointsman_discovery_up{label}}} 0\n")));
    assert!(metrics.contains(&format!("pointsman_discovery_backends{label}}} 1\n")));
    let _server = NameServer::start_at(at, "127.0.0.2 app.internal\n", &[]);
    wait_for_source(&switch, "found", 1);
    wait_until("the new address", || {
        names(&switch) == [two.address.to_string()]
    });
    let tally = crowd.end();
    assert_eq!(tally.failed, [""; 0], "of {} requests", tally.answered);
    assert!(before.is_some_and(|requests| requests > 0));
    let changes = format!("pointsman_discovery_changes_total{label}}} 4\n");
    let metrics = switch.admin("GET", "/metrics").1;
    assert!(metrics.contains(&changes), "{changes} is not in\n{metrics}");
}

#[test]
fn a_name_that_nobody_knows_holds_no_start_up_and_is_found_later() {
    let [two] = neighbours(["two"]);
    let server = NameServer::start("", &[]);
    let switch = Switch::start(&discovering(&format!(
        "discover = {{ dns = \"app.internal:{}\", resolvers = [\"{}\"] }}",
        two.address.port(),
        server.address
    )));
    wait_for_source(&switch, "failed", 0);
    assert_eq!(switch.states(), ["unresolved"]);
    assert_eq!(switch.get("/").0, 503);
    assert_eq!(source(&switch)["error"], "there is no such name");
    server.change("127.0.0.2 app.internal\n");
    wait_for_source(&switch, "found", 1);
    assert_eq!(switch.get("/"), (200, "two\n".to_owned()));
}

#[test]
fn both_families_are_found() {
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else {
        return skip("both_families_are_found", "this host has no IPv6");
    };
    let six: SocketAddr = probe.local_addr().expect("it is bound");
    drop(probe);
    let six = Backend::start_at("six", six);
    let four = Backend::start_at("four", ([127, 0, 0, 2], six.address.port()).into());
    let server = NameServer::start("127.0.0.2 app.internal\n::1 app.internal\n", &[]);
    let switch = Switch::start(&discovering(&format!(
        "discover = {{ dns = \"app.internal:{}\", resolvers = \"{}\" }}",
        four.address.port(),
        server.address
    )));
    wait_for_source(&switch, "found", 2);
    let mut got = [switch.get("/").1, switch.get("/").1];
    got.sort();
    assert_eq!(got, ["four\n", "six\n"]);
}

#[test]
fn srv_records_say_port_weight_and_who_goes_first() {
    let servers = ["one", "two", "spare"].map(Backend::start);
    let record = |at: usize, target: &str, priority: u16, weight: u16| {
        let port = servers[at].address.port();
        format!("--srv-host=_http._tcp.app.internal,{target}.internal,{port},{priority},{weight}")
    };
    let records = [
        record(0, "a", 10, 3),
        record(1, "b", 10, 1),
        record(2, "c", 20, 9),
    ];
    let hosts = "127.0.0.1 a.internal b.internal c.internal\n";
    let server = NameServer::start(hosts, &records);
    let switch = Switch::start(&discovering(&format!(
        "discover = {{ srv = \"_http._tcp.app.internal\", resolvers = \"{}\" }}",
        server.address
    )));
    wait_for_source(&switch, "found", 3);
    let port = |at: usize| servers[at].address.port();
    let mut got = names(&switch);
    got.sort();
    let expected = [
        format!("a.internal:{}", port(0)),
        format!("b.internal:{}", port(1)),
        format!("c.internal:{}", port(2)),
    ];
    assert_eq!(got, expected);
    let answers: Vec<_> = (0..40).map(|_| switch.get("/").1).collect();
    let count = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert_eq!(count("one\n") + count("two\n"), 40);
    // Each worker counts for itself.
    assert!((25..=35).contains(&count("one\n")), "{answers:?}");
    servers[..2].iter().for_each(|server| server.control.kill());
    wait_until("the spare one takes over", || {
        switch.get("/") == (200, "spare\n".to_owned())
    });
}

#[test]
fn a_file_that_is_edited_under_load_fails_no_request() {
    let servers = ["one", "two", "three"].map(Backend::start);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.backends.toml");
    let list = |places: &[usize]| {
        let servers = places
            .iter()
            .map(|at| format!("\"{}\"", servers[*at].address));
        format!("backends = [{}]\n", servers.collect::<Vec<_>>().join(", "))
    };
    replace(&file, &list(&[0]));
    let keys = format!("discover = {{ file = \"{}\" }}\n{CHECKED}", file.display());
    let switch = Switch::start(&discovering(&keys));
    wait_for_source(&switch, "found", 1);
    switch.wait_for_states(&["up"]);
    let mut socket = WebSocket::open(switch.address("web"), "/ws");
    let crowd = Crowd::start(4, switch.address("web"), "/");
    let edits: [&[usize]; 6] = [&[0, 1], &[1, 2], &[2], &[2, 0], &[0, 1, 2], &[1]];
    for (round, places) in edits.iter().cycle().take(18).enumerate() {
        replace(&file, &list(places));
        let mut wanted: Vec<_> = places
            .iter()
            .map(|at| servers[*at].address.to_string())
            .collect();
        wanted.sort();
        wait_until(&format!("edit {round}"), || {
            let mut names = names(&switch);
            names.sort();
            names == wanted
        });
        if round % 6 == 2 {
            let kept = names(&switch);
            replace(&file, "backends = [\"10.0.0.1:80\",\n  oops]\n");
            wait_until("the mistake is told", || {
                source(&switch)["state"] == "stale"
            });
            let error = source(&switch)["error"]
                .as_str()
                .expect("a text")
                .to_owned();
            assert!(error.contains("app.backends.toml:2:3: "), "{error}");
            assert_eq!(names(&switch), kept, "the last good list holds");
        }
    }
    // It is from before the first edit; since then its backend was gone and came back.
    assert_eq!(socket.echo("ping").expect("it is open"), "ping");
    let tally = crowd.end();
    assert_eq!(tally.failed, [""; 0], "of {} requests", tally.answered);
    assert!(tally.answered > 100, "there was load: {}", tally.answered);
    say(&format!(
        "18 edits of a list of backends under load: {} requests, 0 failed",
        tally.answered
    ));
}

#[test]
fn backends_that_stay_in_a_file_keep_what_is_known_of_them() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let listed = Backend::start("listed");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("list.toml");
    let text = format!(
        "backends = [{{ addr = \"{}\", name = \"one\", weight = 3 }}]\n",
        one.address
    );
    replace(&file, &text);
    let policy = policy(
        &[listed.address],
        &format!("discover = {{ file = \"{}\" }}", file.display()),
    );
    let switch = Switch::start(&policy);
    wait_for_source(&switch, "found", 1);
    assert_eq!(
        names(&switch),
        [listed.address.to_string(), "one".to_owned()]
    );
    for _ in 0..8 {
        assert_eq!(switch.get("/").0, 200);
    }
    let of_one = |switch: &Switch| {
        let place = names(switch).iter().position(|name| name == "one");
        switch.status()["pools"][0]["backends"][place.expect("it is there")].clone()
    };
    let before = of_one(&switch);
    assert_eq!(before["weight"], 3);
    // Each worker counts for itself.
    assert!(before["requests"].as_u64() > Some(2), "{before}");
    let more = text.replace("}]", &format!("}}, \"{}\"]", two.address));
    replace(&file, &more.replace("weight = 3", "weight = 2"));
    wait_for_source(&switch, "found", 2);
    let after = of_one(&switch);
    assert_eq!(after["weight"], 2);
    assert_eq!(after["requests"], before["requests"]);
    assert_eq!(after["state"], "up", "it is known already");
    // A reload keeps it all as well.
    switch.rewrite(&policy.replace("[pool.app]", "[pool.app]\nbalance = \"random\""));
    assert_eq!(switch.admin("POST", "/reload").0, 200);
    assert_eq!(of_one(&switch)["requests"], before["requests"]);
    assert_eq!(names(&switch).len(), 3);
}
