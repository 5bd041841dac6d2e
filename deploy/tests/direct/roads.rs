//! Servers that are reached in other ways than by IPv4 on the same network.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use pointsman_deploy::lab::{Daemon, Host, INTERFACE, Nginx, Switch, program, wait_until};
use serde_json::Value;

use crate::stage::{SHARED, SHARED6, Stage, states, target, target6, up};

const SECRET: &str = "a secret of the lab 0123456789";
/// Uploads that each server takes from each family.
const UPLOADS: usize = 3;
const LENGTH: usize = 5 << 20;

#[test]
fn servers_are_reached_by_ipv6_and_in_tunnels_and_uploads_arrive_byte_by_byte() {
    let test = "servers_are_reached_by_ipv6_and_in_tunnels_and_uploads_arrive_byte_by_byte";
    let Some(stage) = Stage::without_servers(test, &["nginx", "curl"]) else {
        return;
    };
    let servers = stage.backends.iter();
    let servers = servers.map(|host| Nginx::start(host, host.name(), &[80]));
    let servers: Vec<Nginx> = servers.collect();
    let [s1, s2, s3] = &stage.backends[..] else {
        unreachable!("there are three")
    };
    let _router = stage.router();
    move_behind_router(s2, "10.78.0.32/24", "fd78::32/64");
    move_behind_router(s3, "10.78.0.33/24", "fd78::33/64");
    stage.take_addresses();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    let switch = Switch::start(&stage.a, &policy(&stage));
    // Agents register the address that they come from.
    let mut agents = [
        agent(s1, "fd77::11", folder.path(), &[]),
        agent(s2, "10.77.0.11", folder.path(), &["--tunnel"]),
        agent(s3, "fd77::11", folder.path(), &["--tunnel"]),
    ];
    wait_until("the ways are known", || {
        ways(&switch) == ["fd77::31 neighbour", "10.78.0.32 tunnel", "fd78::33 tunnel"]
    });
    stage.wait_until_spread(target());
    stage.wait_until_spread(target6());

    let file = folder.path().join("upload");
    let bytes = random(LENGTH);
    fs::write(&file, &bytes).unwrap();
    for target in [target(), target6()] {
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for number in 0..100 {
            let name = format!("{}-{number}", target.is_ipv4());
            let server = upload(&stage.client, &file, &format!("http://{target}/put/{name}"));
            let place = stage.backends.iter().position(|one| one.name() == server);
            let place = place.unwrap_or_else(|| panic!("{server:?} has answered"));
            assert!(
                servers[place].kept(&name) == bytes,
                "{server} has got other bytes"
            );
            *taken.entry(server).or_default() += 1;
            if taken.len() == 3 && taken.values().all(|count| *count >= UPLOADS) {
                break;
            }
        }
        assert!(
            taken.len() == 3 && taken.values().all(|count| *count >= UPLOADS),
            "{taken:?}"
        );
    }
    // Checks go through the tunnels: they notice what is missing at the other end.
    assert_eq!(up(&switch), 3);
    for (place, host) in [(1, s2), (2, s3)] {
        agents[place].kill();
        host.ip(&format!("addr del {SHARED}/32 dev lo"));
        host.ip(&format!("addr del {SHARED6}/128 dev lo"));
    }
    wait_until("both are found down", || {
        let states = states(&switch);
        states.iter().filter(|state| *state == "down").count() == 2
    });
    agents[1] = agent(s2, "10.77.0.11", folder.path(), &["--tunnel"]);
    agents[2] = agent(s3, "fd77::11", folder.path(), &["--tunnel"]);
    wait_until("both are up again", || up(&switch) == 3);
    // What is sent in one piece was passed on in one piece.
    let services = switch.status()["direct"]["services"].clone();
    for service in services.as_array().unwrap() {
        let count = |what: &str| service[what].as_u64().unwrap();
        assert!(count("bytes") > 3000 * count("packets"), "{service}");
    }
}

/// Gives a server addresses of another network, which the router leads to, in place of its own.
fn move_behind_router(host: &Host, ipv4: &str, ipv6: &str) {
    let own = [
        format!("{}/24", host.ipv4()),
        format!("{}/64", host.ipv6().unwrap()),
    ];
    for (own, other) in own.iter().zip([ipv4, ipv6]) {
        host.ip(&format!("addr del {own} dev {INTERFACE}"));
        host.ip(&format!("addr add {other} dev {INTERFACE}"));
    }
    host.ip("route add default via 10.78.0.1");
    host.ip("-6 route add default via fd78::1");
}

fn agent(host: &Host, switch: &str, folder: &Path, more: &[&str]) -> Daemon {
    let mut command = host.command(program("pointsman-backend").to_str().unwrap());
    command.args([
        "agent", "--direct", "--pool", "web", "--port", "80", "--switch", switch,
    ]);
    command
        .args(["--name", host.name(), "--drain", "2s"])
        .args(more);
    command.arg("--secret-file").arg(folder.join("secret"));
    command.arg("--state-folder").arg(folder.join(host.name()));
    Daemon::start(&format!("agent of {}", host.name()), &mut command)
}

/// How packets get to each server.
fn ways(switch: &Switch) -> Vec<String> {
    let backends = switch.status()["direct"]["backends"].clone();
    let backends = backends.as_array().cloned().unwrap_or_default();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let way = |one: &Value| {
        (
            text(one, "backend"),
            format!("{} {}", text(one, "address"), text(one, "way")),
        )
    };
    let ways: BTreeMap<String, String> = backends.iter().map(way).collect();
    ways.into_values().collect()
}

/// Who has taken it.
fn upload(host: &Host, file: &Path, url: &str) -> String {
    let file = file.to_str().unwrap();
    let told = host.run(
        "curl",
        &["-sS", "--max-time", "20", "-D", "-", "-T", file, url],
    );
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("X-Backend: "));
    line.unwrap_or(&told).trim().to_owned()
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut bytes)
        .unwrap();
    bytes
}

fn policy(stage: &Stage) -> String {
    format!(
        "[process]\ndirect = {{ pins = {:?} }}\n\
         [agents]\nlisten = [\"10.77.0.11:9113\", \"[fd77::11]:9113\"]\nsecret = \"{SECRET}\"\n\
         [listener.web]\nbind = [\"{SHARED}:80\", \"[{SHARED6}]:80\"]\nprotocol = \"tcp\"\n\
         pool = \"web\"\n[pool.web]\nforward = \"direct\"\ndiscover = {{ agents = true }}\n\
         health = {{ interval = \"250ms\", timeout = \"200ms\", fall = 2, rise = 1 }}\n",
        stage.pins_of_a(),
    )
}
