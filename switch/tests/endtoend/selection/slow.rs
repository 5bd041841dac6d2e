//! One server of three becomes ten times slower.

use std::time::Duration;

use pointsman_backend::server::Options;

use super::{Tally, crowd};
use crate::support::{Backend, Switch, policy, say};

const CLIENTS: u64 = 6;
const QUICK: Duration = Duration::from_millis(30);
const SLOW: Duration = Duration::from_millis(300);

/// What clients get while all servers are quick, and from two seconds after one has become slow.
fn rest_and_trouble(balance: &str) -> (Tally, Tally) {
    let servers = ["one", "two", "three"].map(|name| {
        Backend::start_with(Options {
            name: Some(name.to_owned()),
            delay: QUICK,
            ..Options::default()
        })
    });
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let switch = Switch::start(&policy(&addresses, &format!("balance = \"{balance}\"")));
    let address = switch.address("web");
    let path = |_, _| "/".to_owned();
    let rest = crowd(address, CLIENTS, path, |anew| {
        std::thread::sleep(Duration::from_secs(1));
        anew();
        std::thread::sleep(Duration::from_secs(2));
    });
    let trouble = crowd(address, CLIENTS, path, |anew| {
        std::thread::sleep(Duration::from_millis(500));
        servers[0].control.set_delay(SLOW);
        std::thread::sleep(Duration::from_secs(2));
        anew();
        std::thread::sleep(Duration::from_secs(3));
    });
    say(&format!(
        "| {balance} | {:.1} % | {:?} | {:?} |",
        trouble.share("one") * 100.0,
        rest.quantile(0.99),
        trouble.quantile(0.99)
    ));
    (rest, trouble)
}

#[test]
fn a_server_that_has_become_slow_is_avoided_within_two_seconds() {
    say("\n| one of three servers is 10 times slower | its share | p99 at rest | p99 then |");
    say("|---|---|---|---|");
    let (rest, trouble) = rest_and_trouble("round-robin");
    assert!(trouble.share("one") > 0.3);
    assert!(trouble.quantile(0.99) >= SLOW && rest.quantile(0.99) < SLOW);
    let (_, trouble) = rest_and_trouble("least-request");
    let third_of_its_share = 1.0 / 3.0 / 3.0;
    assert!(trouble.share("one") < third_of_its_share);
    let (_, trouble) = rest_and_trouble("peak-ewma");
    assert!(trouble.share("one") < third_of_its_share / 2.0);
    // On a machine that does nothing else it is what it was at rest; the table tells.
    assert!(trouble.quantile(0.99) < SLOW / 2);
}

#[test]
fn tcp_connections_go_to_the_server_that_takes_them_sooner_too() {
    let servers = [Backend::start("one"), Backend::start("two")];
    let text = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n\
         [pool.app]\nbackends = [\"{}\", \"{}\"]\nbalance = \"peak-ewma\"\n",
        servers[0].address, servers[1].address
    );
    let switch = Switch::start(&text);
    let address = switch.address("web");
    for _ in 0..50 {
        assert_eq!(crate::support::get(address, "/").0, 200);
    }
    let served = servers.iter().map(|server| {
        server
            .control
            .requests()
            .load(std::sync::atomic::Ordering::Relaxed)
    });
    assert!(
        served.clone().all(|count| count > 0),
        "{:?}",
        served.collect::<Vec<_>>()
    );
}
