//! What the switches of a group have in common, and what each knows by itself, so that a takeover is
//! no new start.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod operation;
#[path = "../contact_stage/mod.rs"]
mod stage;

use std::time::{Duration, Instant};

use pointsman_deploy::lab::{Prober, Switch, wait_until};
use rustix::process::Signal;

use client::{Session, ask, certificate};
use stage::{Policy, Stage, group, metric, peer, target, wait_for_role};

/// Stages at the same time: they wait most of their time.
const AT_ONCE: usize = 2;
/// For an attempt: a segment that was lost would be sent again only after a second.
const LIMIT: Duration = Duration::from_millis(950);
/// Checks by which a switch notices a backend's end within half a second; what may be doubted is over
/// within a second and a half.
const CHECKED: &str =
    "health = { interval = \"100ms\", timeout = \"150ms\", fall = 2, rise = 1 }\n";

#[test]
fn keys_keep_their_backends_across_a_takeover() {
    let test = "keys_keep_their_backends_across_a_takeover";
    let Some(stage) = Stage::new(test, &[], 5) else {
        return;
    };
    let mut policy = stage.policy();
    policy.pool += "balance = \"hash\"\nhash = { header = \"X-User\" }\n";
    let (mut a, b) = stage.pair(&policy);
    let backends = || -> Vec<String> {
        let of = |user: u32| {
            let answer = ask(&stage.client, target(), &[("X-User", &user.to_string())]);
            answer.unwrap().backend
        };
        (0..200).map(of).collect()
    };
    let before = backends();
    let mut names = before.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5, "the keys are spread: {names:?}");
    a.kill();
    wait_for_role(&b, "active");
    assert_eq!(backends(), before);
}

#[test]
fn a_client_that_has_used_up_its_rate_has_done_so_at_all_switches() {
    let test = "a_client_that_has_used_up_its_rate_has_done_so_at_all_switches";
    let Some(stage) = Stage::new(test, &[], 1) else {
        return;
    };
    let mut policy = stage.policy();
    policy.listener += "limits = { requests_per_client = \"10/m\" }\n";
    let (a, b) = stage.pair(&policy);
    let status = |host| ask(host, target(), &[]).unwrap().status;
    let begun = Instant::now();
    let first: Vec<u16> = (0..12).map(|_| status(&stage.client)).collect();
    assert_eq!(first[..10], [200; 10], "{first:?}");
    assert_eq!(first.last(), Some(&429), "{first:?}");
    // The others are told ten times a second.
    std::thread::sleep(Duration::from_millis(500));
    a.tell(&["contact", "yield"]);
    wait_for_role(&b, "active");
    // It earns a request in six seconds.
    let earned = begun.elapsed().as_secs() / 6;
    let answers: Vec<u16> = (0..=earned).map(|_| status(&stage.client)).collect();
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    assert_eq!(status(&stage.third), 200, "another client");
}

#[test]
fn sessions_of_tls_are_resumed_by_whoever_takes_over() {
    let test = "sessions_of_tls_are_resumed_by_whoever_takes_over";
    let Some(stage) = Stage::new(test, &["openssl"], 1) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut policy = stage.policy();
    policy.listener = format!(
        "[listener.web]\nbind = \":80\"\n[listener.tls]\nbind = \":443\"\n{}",
        certificate(folder.path())
    );
    let (mut a, b) = stage.pair(&policy);
    // The second one has the keys of the first one.
    std::thread::sleep(Duration::from_millis(500));
    let sessions = ["tls1_3", "tls1_2"].map(|version| {
        let session = Session::open(&stage.client, version, folder.path());
        assert!(
            session.resumes(&stage.client),
            "{version} at the same switch"
        );
        session
    });
    a.kill();
    wait_for_role(&b, "active");
    for session in sessions {
        assert!(session.resumes(&stage.client), "{session:?}");
    }
}

#[test]
fn a_standby_has_checked_the_backends_by_itself() {
    let test = "a_standby_has_checked_the_backends_by_itself";
    let Some(mut stage) = Stage::new(test, &["nft"], 2) else {
        return;
    };
    let mut policy = stage.policy();
    policy.pool += CHECKED;
    // What fails at one backend is tried at no other one.
    policy.route = "retry = { attempts = 1 }\n".to_owned();
    let (mut a, b) = stage.pair(&policy);
    stage.servers.remove(0).kill();
    wait_until("the standby has noticed", || states(&b) == ["down", "up"]);
    a.kill();
    wait_for_role(&b, "active");
    for _ in 0..20 {
        let answer = ask(&stage.client, target(), &[]).unwrap();
        assert_eq!((answer.status, answer.backend.as_str()), (200, "3002"));
    }
}

#[test]
fn a_holder_that_alone_has_lost_the_backends_gives_way() {
    let test = "a_holder_that_alone_has_lost_the_backends_gives_way";
    let Some(mut stage) = Stage::new(test, &["nft"], 2) else {
        return;
    };
    let mut policy = stage.policy();
    policy.pool += CHECKED;
    let (a, b) = stage.pair(&policy);
    let cut = Instant::now();
    stage.a.drop_to(stage.back.ipv4().into());
    wait_for_role(&b, "active");
    let took = cut.elapsed();
    assert!(took > Duration::from_secs(1), "it was in doubt: {took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_ne!(group(&a)["role"], "active");
    assert_eq!(ask(&stage.client, target(), &[]).unwrap().status, 200);

    // Back again, it takes back what it is preferred for.
    stage.a.drop_nothing();
    wait_for_role(&a, "active");
    wait_for_role(&b, "standby");

    let moves = [&a, &b].map(transitions);
    stage.servers.clear();
    wait_until("both have noticed", || {
        [&a, &b]
            .iter()
            .all(|switch| states(switch) == ["down", "down"])
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!([&a, &b].map(transitions), moves, "nobody would do better");
    assert_eq!(ask(&stage.client, target(), &[]).unwrap().status, 503);
}

#[test]
fn a_process_that_was_stopped_and_goes_on_is_no_second_holder() {
    let test = "a_process_that_was_stopped_and_goes_on_is_no_second_holder";
    let Some(stage) = Stage::new(test, &[], 1) else {
        return;
    };
    let (a, b) = stage.pair(&stage.policy());
    let prober = Prober::start_gently(&stage.client, target(), LIMIT, 1);
    wait_until("clients are served", || prober.record().attempts.len() > 20);
    for _ in 0..3 {
        a.signal(Signal::STOP);
        wait_for_role(&b, "active");
        let answered = |from: Instant| {
            let record = prober.record();
            record
                .attempts
                .iter()
                .any(|one| one.started > from && one.is_ok())
        };
        let now = Instant::now();
        wait_until("the other one answers", || answered(now));
        a.signal(Signal::CONT);
        wait_until("there is one holder", || {
            let roles = [&a, &b].map(|switch| group(switch)["role"] == "active");
            let (at_a, at_b) = stage.held();
            at_a != at_b && roles == [at_a, at_b]
        });
        let now = Instant::now();
        wait_until("clients are served", || answered(now));
        // It is preferred and takes back.
        wait_for_role(&a, "active");
        wait_for_role(&b, "standby");
        wait_until("one host has it", || stage.held() == (true, false));
    }
}

#[test]
fn policies_that_differ_are_told_and_elect_nevertheless() {
    let test = "policies_that_differ_are_told_and_elect_nevertheless";
    let Some(stage) = Stage::new(test, &[], 2) else {
        return;
    };
    let policy = stage.policy();
    let (a, b) = stage.pair(&policy);
    assert_eq!(peer(&a, |_| true).unwrap()["policy"], "same");
    let other = Policy {
        pool: policy.pool.replace(":3002", ":3003"),
        ..policy.clone()
    };
    b.rewrite(&other.text(100));
    b.tell(&["reload"]);
    for switch in [&a, &b] {
        wait_until("the difference is told", || {
            let told = peer(switch, |one| one["policy"] == "differs").is_some();
            told && metric(switch, "pointsman_contact_peer_policy_differs", "") == 1.0
        });
        wait_until("there is an event", || has_event(switch, "policy-differs"));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(stage.held(), (true, false));
    assert_eq!(group(&a)["role"], "active");
    assert_eq!(group(&b)["role"], "standby");
    b.rewrite(&policy.text(100));
    b.tell(&["reload"]);
    wait_until("they agree again", || {
        let same = |switch| peer(switch, |one| one["policy"] == "same").is_some();
        same(&a) && same(&b)
    });
    assert_eq!(metric(&a, "pointsman_contact_peer_policy_differs", ""), 0.0);
}

/// Of each backend of the only pool.
fn states(switch: &Switch) -> Vec<String> {
    let pool = switch.status()["pools"][0].clone();
    let backends = pool["backends"].as_array().cloned().unwrap_or_default();
    let state = |one: &serde_json::Value| one["state"].as_str().unwrap_or_default().to_owned();
    backends.iter().map(state).collect()
}

fn transitions(switch: &Switch) -> u64 {
    metric(switch, "pointsman_contact_transitions_total", "") as u64
}

fn has_event(switch: &Switch, word: &str) -> bool {
    let events = switch.status()["contact"]["events"].clone();
    let mut events = events.as_array().into_iter().flatten();
    events.any(|one| one["event"] == word)
}
