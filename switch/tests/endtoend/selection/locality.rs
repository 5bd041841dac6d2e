//! Servers whose caches are too small for all files, but not for a third of them.

use std::time::Duration;

use pointsman_backend::server::Options;

use super::{Tally, crowd};
use crate::support::{Backend, Switch, policy, say};

const FILES: u64 = 240;
const CACHED: usize = 100;
const MISS: Duration = Duration::from_millis(10);

/// Files by Zipf's law, the same ones in every run.
fn file(client: u64, step: u64) -> u64 {
    let bits = (client << 32 | step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let unit = ((bits ^ (bits >> 32)) >> 11) as f64 / (1u64 << 53) as f64;
    // The inverse of the integral of 1/sqrt(x).
    (unit * unit * FILES as f64) as u64
}

fn serve(balance: &str) -> Tally {
    let servers = ["one", "two", "three"].map(|name| {
        Backend::start_with(Options {
            name: Some(name.to_owned()),
            cache: CACHED,
            miss: MISS,
            ..Options::default()
        })
    });
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let switch = Switch::start(&policy(&addresses, &format!("balance = \"{balance}\"")));
    let path = |client, step| format!("/files/{}", file(client, step));
    let tally = crowd(switch.address("web"), 12, path, |anew| {
        std::thread::sleep(Duration::from_secs(3));
        anew();
        std::thread::sleep(Duration::from_secs(3));
    });
    let busiest = ["one", "two", "three"].map(|name| tally.share(name));
    let busiest = busiest.into_iter().fold(0.0, f64::max);
    say(&format!(
        "| {balance} | {:.0}/s | {:?} | {:.0} % |",
        tally.rate(),
        tally.quantile(0.5),
        busiest * 100.0
    ));
    tally
}

#[test]
fn with_locality_small_caches_together_hold_what_none_of_them_can() {
    say(&format!(
        "\n| {FILES} files, 3 servers that cache {CACHED} each, {MISS:?} per miss | requests | median \
         | busiest server |"
    ));
    say("|---|---|---|---|");
    let [blind, local] = ["round-robin", "locality"].map(serve);
    let factor = local.rate() / blind.rate();
    say(&format!("factor {factor:.1}"));
    assert!(factor > 1.5, "only {factor} times as many requests");
    for name in ["one", "two", "three"] {
        assert!(local.share(name) < 0.6, "{name}: {}", local.share(name));
    }
}
