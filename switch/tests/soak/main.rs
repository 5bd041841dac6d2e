//! Everything at once for a while: nothing may leak, and no polite client may notice the others.
//!
//! `SOAK_SECONDS=3600` makes it an hour; otherwise it takes 20 seconds.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

#[path = "../common/mod.rs"]
mod support;

#[path = "../endtoend/client.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod client;

mod loads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use loads::Tally;
use support::*;

/// Between two looks at the process.
const LOOK: Duration = Duration::from_millis(250);
/// Bytes of memory that may come on top between the first third after the warm-up and the last,
/// and as much again for every hour.
const GROWTH: f64 = 12.0 * 1024.0 * 1024.0;
/// Descriptors that may come on top: what is open at a moment varies with the load.
const DESCRIPTORS: f64 = 100.0;

/// Memory in bytes and open descriptors at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    memory: f64,
    descriptors: f64,
}

impl Look {
    fn at(switch: &Switch) -> Self {
        let metrics = switch.admin("GET", "/metrics").1;
        let value = |name: &str| -> f64 {
            let line = metrics.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.rsplit(' ').next());
            value
                .and_then(|value| value.parse().ok())
                .expect("a metric")
        };
        Self {
            memory: value("process_resident_memory_bytes "),
            descriptors: value("process_open_fds "),
        }
    }
}

fn policy(steady: &Backend, mortal: &[&Backend]) -> String {
    let mortal: Vec<_> = mortal
        .iter()
        .map(|backend| format!("\"{}\"", backend.address))
        .collect();
    format!(
        r#"
[listener.web]
bind = "127.0.0.1:0"
[[route]]
pool = "app"
retry = {{ attempts = 3 }}
[[route]]
match = {{ path = ["/echo", "/size/*"] }}
pool = "steady"
[pool.app]
backends = ["{0}", {1}]
{CHECKED}
[pool.steady]
backends = ["{0}"]
"#,
        steady.address,
        mortal.join(", ")
    )
}

#[test]
fn nothing_leaks_and_no_polite_client_fails_while_others_misbehave_and_servers_die() {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(20);
    let (steady, mortal) = (Backend::start("steady"), Backend::start("mortal"));
    let switch = Switch::start(&policy(&steady, &[&mortal]));
    let until = Instant::now() + Duration::from_secs(seconds);
    let tally = Arc::new(Tally::default());
    let address = switch.address("web");
    let loads = loads::start(address, mortal, until, &tally);
    let mut looks = Vec::new();
    while Instant::now() < until {
        looks.push(Look::at(&switch));
        std::thread::sleep(LOOK);
    }
    for load in loads {
        load.join().expect("no load panics");
    }
    say(&format!("soak of {seconds} s: {tally:?}"));
    tally.judge();
    assert_eq!(judge(&looks, seconds), Ok(()), "{looks:?}");
    wait_until("descriptors are given back", || {
        Look::at(&switch).descriptors < looks[0].descriptors + 50.0
    });
}

/// After a warm-up of a third, memory and descriptors must not climb.
fn judge(looks: &[Look], seconds: u64) -> Result<(), String> {
    let warm = &looks[looks.len() / 3..];
    let third = warm.len() / 3;
    let (first, last) = (&warm[..third], &warm[warm.len() - third..]);
    let growth = |of: fn(&Look) -> f64| median(last, of) - median(first, of);
    let allowed = GROWTH * (1.0 + seconds as f64 / 3600.0);
    let (memory, descriptors) = (growth(|look| look.memory), growth(|look| look.descriptors));
    match memory < allowed && descriptors < DESCRIPTORS {
        true => Ok(()),
        false => Err(format!(
            "memory {memory:+} bytes, descriptors {descriptors:+}"
        )),
    }
}

fn median(looks: &[Look], of: fn(&Look) -> f64) -> f64 {
    let mut values: Vec<f64> = looks.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_leak_is_found() {
    let leaking = |step: f64| -> Vec<Look> {
        let look = |n| Look {
            memory: 50e6 + step * f64::from(n),
            descriptors: 100.0,
        };
        (0..80).map(look).collect()
    };
    assert_eq!(judge(&leaking(1000.0), 20), Ok(()));
    assert!(judge(&leaking(500_000.0), 20).is_err());
}
