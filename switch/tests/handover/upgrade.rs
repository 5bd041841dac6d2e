use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Conn, WebSocket};
use crate::load::{Download, Load};
use crate::rounds;
use crate::service::Service;
use crate::support::{Backend, CHECKED, get, policy, say, wait_until};

/// Streams that are open at a time, each from another process.
const STREAMS: usize = 4;

fn with_workers(backends: &[std::net::SocketAddr], workers: usize) -> String {
    format!(
        "[process]\nworkers = {workers}\ndrain = \"60s\"\n{}",
        policy(backends, CHECKED)
    )
}

#[test]
fn upgrades_under_load_fail_and_refuse_nothing_and_cut_no_stream() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let backends = [one.address, two.address];
    let mut service = Service::start(&with_workers(&backends, 2));
    let web = service.address("web");
    let load = Load::start(web);
    let mut sockets = VecDeque::new();
    let (count, mut longest) = (rounds(), Duration::ZERO);
    for n in 1..=count {
        sockets.push_back(WebSocket::open(web, "/ws"));
        let download = Download::start(web, Duration::from_millis(400));
        // More workers, fewer, and as many as before.
        service.rewrite(&with_workers(&backends, [1, 3, 3, 2][n % 4]));
        let started = Instant::now();
        service.upgrade();
        longest = longest.max(started.elapsed());
        assert_eq!(service.address("web"), web);
        for socket in &mut sockets {
            assert_eq!(socket.echo("ping").expect("the WebSocket is open"), "ping");
        }
        download.end();
        if sockets.len() > STREAMS {
            sockets.pop_front();
        }
    }
    let tally = load.end();
    tally.assert_clean(100 * count as u64);
    drop(sockets);
    let before = service.pids()[..count].to_vec();
    for pid in before {
        assert_eq!(service.wait_for_end(pid), Some(0), "in order");
    }
    say(&format!(
        "{count} upgrades under load: {tally}; each within {longest:?}"
    ));
}

#[test]
fn the_new_process_knows_the_backends_from_the_start() {
    let one = Backend::start("one");
    let gone = crate::support::free_address();
    let checked = CHECKED.replace("250ms", "10s");
    let mut service = Service::start(&policy(&[gone, one.address], &checked));
    let states = |service: &Service| {
        let status = service.status();
        let backends = status["pools"][0]["backends"].as_array().unwrap().clone();
        let state = |one: &serde_json::Value| one["state"].as_str().unwrap().to_owned();
        backends.iter().map(state).collect::<Vec<_>>()
    };
    wait_until("the checks are over", || states(&service) == ["down", "up"]);
    service.upgrade();
    assert_eq!(states(&service), ["down", "up"]);
    for _ in 0..4 {
        assert_eq!(get(service.address("web"), "/"), (200, "one\n".into()));
    }
}

#[test]
fn the_new_process_leaves_out_who_was_ejected_and_goes_on_with_slow_starts() {
    let all = ["one", "two", "three"].map(Backend::start);
    let addresses = [all[0].address, all[1].address, all[2].address];
    let pool = format!("{CHECKED}\nslow_start = \"1h\"");
    let mut service = Service::start(&policy(&addresses, &pool));
    let states = |service: &Service| {
        let status = service.status();
        let backends = status["pools"][0]["backends"].as_array().unwrap().clone();
        let state = |one: &serde_json::Value| one["state"].as_str().unwrap().to_owned();
        backends.iter().map(state).collect::<Vec<_>>()
    };
    wait_until("the checks are over", || states(&service) == ["up"; 3]);
    all[2].control.set_healthy(false);
    wait_until("one is down", || states(&service)[2] == "down");
    all[2].control.set_healthy(true);
    wait_until("it begins slowly", || states(&service)[2] == "slow-start");
    all[1].control.set_errors(1.0);
    wait_until("one is ejected", || {
        let _ = get(service.address("web"), "/");
        states(&service)[1] == "ejected"
    });
    service.upgrade();
    assert_eq!(states(&service), ["up", "ejected", "slow-start"]);
}

#[test]
fn what_was_laid_over_the_policy_and_what_has_happened_outlive_an_upgrade() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let mut service = Service::start(&policy(&[one.address, two.address], CHECKED));
    let name = format!("app/{}", one.address);
    let admin = service.admin_word();
    let drain = ["backend", "drain", &name, "--for", "1h", "--why", "deploy"];
    let (code, _, said) = crate::support::run(&[&drain[..], &["--admin", &admin]].concat());
    assert_eq!(code, 0, "{said}");
    let before = service.status()["overlay"].clone();
    service.upgrade();
    let status = service.status();
    assert_eq!(status["overlay"], before);
    assert_eq!(status["pools"][0]["backends"][0]["state"], "draining");
    for _ in 0..4 {
        assert_eq!(get(service.address("web"), "/"), (200, "two\n".into()));
    }
    let (code, events, _) = crate::support::run(&["events", "--admin", &admin]);
    assert_eq!(code, 0);
    for part in ["is draining until", "an upgrade begins"] {
        assert!(events.contains(part), "{part} is not in\n{events}");
    }
}

#[test]
fn an_idle_client_of_the_old_process_is_answered_and_told_to_leave() {
    let one = Backend::start("one");
    let mut service = Service::start(&policy(&[one.address], ""));
    let mut kept = Conn::open(service.address("web"));
    assert_eq!(kept.get("/").unwrap().field("connection"), None);
    let old = service.pid();
    service.upgrade();
    std::thread::sleep(Duration::from_secs(2));
    let answer = kept.get("/").expect("the connection is still there");
    assert_eq!(
        (answer.status, answer.field("connection")),
        (200, Some("close"))
    );
    assert_eq!(service.wait_for_end(old), Some(0));
}

#[test]
fn the_service_manager_is_told_of_the_new_process_and_of_no_end() {
    let one = Backend::start("one");
    let (mut service, manager) = Service::start_told(&policy(&[one.address], ""));
    let hear = || {
        let mut bytes = [0; 256];
        let n = manager.recv(&mut bytes).expect("something is told");
        String::from_utf8_lossy(&bytes[..n]).trim_end().to_owned()
    };
    assert_eq!(hear(), "READY=1");
    let old = service.pid();
    service.upgrade();
    assert_eq!(service.wait_for_end(old), Some(0));
    let mut told = [hear(), hear()];
    told.sort();
    let main = format!("MAINPID={}", service.pid().as_raw_nonzero());
    assert_eq!(told, [main, "READY=1".to_owned()]);
    let new = service.pid();
    service.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(service.wait_for_end(new), Some(0));
}

#[test]
fn the_watchdog_hears_of_the_switch_before_an_upgrade_and_after_it() {
    let one = Backend::start("one");
    let limit = std::time::Duration::from_secs(2);
    let (mut service, manager) = Service::start_watched(&policy(&[one.address], ""), Some(limit));
    let hears = |word: &str| {
        let mut bytes = [0; 256];
        wait_until("the word is told", || {
            let n = manager.recv(&mut bytes).expect("something is told");
            bytes[..n].trim_ascii_end() == word.as_bytes()
        });
    };
    hears("READY=1");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    let old = service.pid();
    service.upgrade();
    assert_eq!(service.wait_for_end(old), Some(0));
    manager.set_nonblocking(true).expect("a socket");
    while manager.recv(&mut [0; 256]).is_ok() {}
    manager.set_nonblocking(false).expect("a socket");
    // Only the new process is there to tell it, under an id that the manager did not name.
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
}

#[test]
fn an_upgrade_puts_a_changed_policy_into_force() {
    let one = Backend::start("one");
    let text = policy(&[one.address], "");
    let two_listeners = format!("[listener.more]\nbind = \"127.0.0.1:0\"\n{text}");
    let mut service = Service::start(&two_listeners);
    let (web, gone) = (service.address("web"), service.address("more"));
    let path = service.folder.path().join("new.sock");
    let bind = format!("bind = [\"127.0.0.1:0\", \"unix:{}\"]", path.display());
    service.rewrite(&text.replace("bind = \"127.0.0.1:0\"", &bind));
    service.upgrade();
    assert_eq!(service.address("web"), web);
    assert_eq!(crate::support::ask_unix(&path, "GET", "/").0, 200);
    wait_until("the listener that is gone refuses", || {
        std::net::TcpStream::connect(gone).is_err()
    });
    service.rewrite(&text);
    service.upgrade();
    assert!(!path.exists(), "the file goes with the listener");
}

#[test]
fn a_new_process_that_fails_changes_nothing() {
    let one = Backend::start("one");
    let service = Service::start(&policy(&[one.address], ""));
    let (web, status) = (service.address("web"), service.status());
    let mut kept = Conn::open(web);
    kept.get("/").unwrap();
    let right = std::fs::read_to_string(service.file()).unwrap();
    let folder = service.folder.path().to_owned();
    let silent = folder.join("silent");
    std::fs::write(&silent, "#!/bin/sh\nexec sleep 0.2\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&silent, mode).unwrap();
    let cases: [(&str, &[&str], &str); 4] = [
        ("[listener.web", &[], "p.toml"),
        (&right, &["--binary", "/bin/false"], "exit status: 1"),
        (
            &right,
            &["--binary", silent.to_str().unwrap()],
            "exit status: 0",
        ),
        (&right, &["--binary", "/etc/passwd"], "denied"),
    ];
    for (text, args, why) in cases {
        std::fs::write(service.file(), text).unwrap();
        let output = service.try_upgrade(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains(why), "{args:?}: {said}");
    }
    let answer = kept.get("/").expect("its connection is open");
    assert_eq!((answer.status, answer.field("connection")), (200, None));
    assert_eq!(service.status()["pid"], status["pid"]);
    assert_eq!(get(web, "/").0, 200);
}

#[test]
fn a_process_that_is_told_to_end_while_it_waits_for_the_new_one_ends() {
    let one = Backend::start("one");
    let mut service = Service::start(&policy(&[one.address], ""));
    let slow = service.folder.path().join("slow");
    std::fs::write(&slow, "#!/bin/sh\nexec sleep 60\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&slow, mode).unwrap();
    let asked = {
        let (admin, slow) = (service.admin_word(), slow.clone());
        std::thread::spawn(move || {
            let args = [
                "upgrade",
                "--admin",
                &admin,
                "--binary",
                slow.to_str().unwrap(),
            ];
            crate::support::run(&args)
        })
    };
    wait_until("it waits", || service.log().contains("upgrading"));
    let second = service.try_upgrade(&[]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another upgrade is under way"), "{said}");
    service.signal(Signal::TERM);
    let pid = service.pid();
    assert_eq!(service.wait_for_end(pid), Some(0));
    let (code, _, said) = asked.join().unwrap();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("told to end"), "{said}");
}

#[test]
fn another_user_cannot_choose_the_program_over_tcp() {
    let one = Backend::start("one");
    let admin = crate::support::free_address();
    let service = Service::start(&policy(&[one.address], ""));
    let text = std::fs::read_to_string(service.file()).unwrap();
    let tcp = text.replace(&service.admin_word(), &admin.to_string());
    let file = service.folder.path().join("tcp.toml");
    std::fs::write(&file, tcp).unwrap();
    let mut child = crate::support::pointsman(&["run", file.to_str().unwrap()])
        .spawn()
        .unwrap();
    wait_until("it is ready", || get(admin, "/ready").0 == 200);
    let word = admin.to_string();
    let args = ["upgrade", "--admin", &word, "--binary", "/bin/false"];
    let (code, _, said) = crate::support::run(&args);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("Unix socket"), "{said}");
}
