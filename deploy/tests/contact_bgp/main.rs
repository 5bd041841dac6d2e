//! Addresses that are announced by BGP, with real BIRDs at the switches and at a router that shares its
//! clients out to both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pointsman_deploy::lab::{
    Daemon, Lab, PATIENCE, Prober, Record, RoutedLab, program, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};

/// For an attempt: a segment that was lost would be sent again only after a second.
const LIMIT: Duration = Duration::from_millis(950);
/// Attempts that may fail when a way goes though both switches live: one that is on its way, for the
/// router hashes it anew.
const ON_THEIR_WAY: usize = 1;
/// When a switch dies: what is sent to it before the router knows, at one attempt in 10 ms.
const DEATH: usize = 2;

#[test]
fn a_route_is_withdrawn_however_a_switch_goes() {
    let test = "a_route_is_withdrawn_however_a_switch_goes";
    let Some((_turn, mut lab)) = lab(test) else {
        return;
    };
    lab.switches[0].tell(&["contact", "yield"]);
    lab.wait_for_ways(&[1]);
    assert_eq!(contact(&lab, 0)["role"], "out");
    assert_eq!(contact(&lab, 0)["yielded"], true);
    lab.switches[0].tell(&["contact", "resume"]);
    lab.wait_for_ways(&[0, 1]);
    assert_eq!(contact(&lab, 0)["role"], "active");

    let given = during(&lab, || {
        lab.switches[0].tell(&["contact", "yield", "--force"]);
        lab.wait_for_ways(&[1]);
    });
    assert_failed(&given, ON_THEIR_WAY, "a switch gave way");
    assert!(
        lab.hosts[0].holds(lab.target().ip()),
        "what is open goes on"
    );
    lab.switches[0].tell(&["contact", "resume"]);
    lab.wait_for_ways(&[0, 1]);

    let prober = started(&lab);
    lab.switches[0].stop();
    lab.wait_for_ways(&[1]);
    assert_failed(&finished(prober), ON_THEIR_WAY, "a switch ended");
    assert!(!lab.hosts[0].holds(lab.target().ip()));
    lab.restart(0);
    lab.wait_for_ways(&[0, 1]);

    let prober = started(&lab);
    let killed = Instant::now();
    lab.switches[1].kill();
    lab.wait_for_ways(&[0]);
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_failed(&finished(prober), DEATH, "a switch was killed");
    assert!(!lab.hosts[1].holds(lab.target().ip()));
}

#[test]
fn an_upgrade_leaves_the_route_alone() {
    let test = "an_upgrade_leaves_the_route_alone";
    let Some((_turn, mut lab)) = lab(test) else {
        return;
    };
    let mut watch = lab.router.command("ip");
    let mut changes = Daemon::start("ip monitor", watch.args(["monitor", "route"]));
    let prober = started(&lab);
    let said = lab.switches[0].tell(&["upgrade"]);
    let heir = heir(&said);
    wait_until("the process before has ended", || {
        lab.switches[0].has_ended().is_some()
    });
    assert!(lab.announces(0));
    assert_eq!(contact(&lab, 0)["role"], "active");
    assert_failed(&finished(prober), 0, "a switch was upgraded");
    assert!(
        !changes.log().contains("198.51.100.10"),
        "{}",
        changes.log()
    );

    // What the operator said holds for the next process, too.
    lab.switches[0].tell(&["contact", "yield", "--force"]);
    lab.wait_for_ways(&[1]);
    changes.wait_for_log("198.51.100.10");
    lab.switches[0].tell(&["contact", "resume"]);
    lab.wait_for_ways(&[0, 1]);

    kill_process(heir, Signal::KILL).unwrap();
    lab.wait_for_ways(&[1]);
    assert!(!lab.announces(0));
}

#[test]
fn a_switch_that_reaches_no_backend_is_not_routed_to_while_the_other_one_does() {
    let test = "a_switch_that_reaches_no_backend_is_not_routed_to_while_the_other_one_does";
    let Some((_turn, mut lab)) = lab(test) else {
        return;
    };
    lab.cut_off(0, true);
    lab.wait_for_ways(&[1]);
    let status = contact(&lab, 0);
    assert_eq!(status["role"], "out");
    assert!(
        status["why"]
            .as_str()
            .unwrap()
            .contains("reaches more pools")
    );
    lab.cut_off(0, false);
    lab.wait_for_ways(&[0, 1]);

    // Nobody does better than to say that nothing is there.
    lab.stop_servers();
    wait_until("both have noticed", || {
        (0..2).all(|at| pools_up(&lab, at) == 0)
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lab.ways(), [0, 1]);
}

#[test]
fn a_device_that_is_somebody_elses_is_not_touched() {
    let test = "a_device_that_is_somebody_elses_is_not_touched";
    let lab = match Lab::new() {
        Ok(lab) => lab,
        Err(why) => return why.tell(test),
    };
    let host = lab.host("a", "10.77.0.11/24", None);
    host.ip("tuntap add pointsman0 mode tun multi_queue");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    let policy = "[contact]\nannounce = \"bgp\"\naddress = [\"198.51.100.10/32\"]\n\
                  [listener.web]\nbind = \":80\"\n[[route]]\nrespond = { status = 204 }\n";
    std::fs::write(&file, policy).unwrap();
    let mut command = host.command(program("pointsman").to_str().unwrap());
    let mut refused = Daemon::start("pointsman", command.arg("run").arg(&file));
    let until = Instant::now() + PATIENCE;
    while refused.has_ended().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        refused.has_ended().is_some_and(|code| code > 0),
        "{}",
        refused.log()
    );
    let why = "the device pointsman0: there is an interface of that name already";
    assert!(refused.log().contains(why), "{}", refused.log());
    assert!(!host.ip("-br address").contains("198.51.100.10"));
}

/// Two switches that both are routed to, one test's at a time; none where a program or a right is
/// missing, which is told.
fn lab(test: &str) -> Option<(MutexGuard<'static, ()>, RoutedLab)> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = RoutedLab::new().map_err(|why| why.tell(test)).ok()?;
    for bird in lab.birds.iter().chain([&lab.routing]) {
        bird.raise();
    }
    Some((turn, lab))
}

/// What clients see while this is done.
fn during(lab: &RoutedLab, work: impl FnOnce()) -> Record {
    let prober = started(lab);
    work();
    finished(prober)
}

fn started(lab: &RoutedLab) -> Prober {
    let prober = Prober::start_gently(&lab.client, lab.target(), LIMIT, 1);
    wait_until("some answers", || {
        let record = prober.record();
        record.attempts.len() - record.failed() >= 20
    });
    prober
}

fn finished(prober: Prober) -> Record {
    std::thread::sleep(Duration::from_millis(300));
    prober.stop()
}

#[track_caller]
fn assert_failed(record: &Record, most: usize, what: &str) {
    let failed: Vec<_> = record.attempts.iter().filter(|one| !one.is_ok()).collect();
    assert!(failed.len() <= most, "{what}: {failed:?}");
}

/// What a switch says of its address.
fn contact(lab: &RoutedLab, switch: usize) -> serde_json::Value {
    lab.switches[switch].status()["contact"]["contacts"][0].clone()
}

fn pools_up(lab: &RoutedLab, switch: usize) -> usize {
    let status = lab.switches[switch].status();
    let pools = status["pools"].as_array().cloned().unwrap_or_default();
    let is_up = |pool: &&serde_json::Value| pool.to_string().contains("\"up\"");
    pools.iter().filter(is_up).count()
}

/// The process that has taken over, as `pointsman upgrade` tells.
fn heir(said: &str) -> Pid {
    let number = said
        .split("process ")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    Pid::from_raw(number.unwrap().parse().unwrap()).unwrap()
}
