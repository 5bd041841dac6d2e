use std::process::Stdio;

use crate::support::*;

#[test]
fn the_demo_ends_by_itself_and_no_request_fails() {
    let (code, out, err) = run(&["demo", "--for", "2s", "--port", "0"]);
    let last = out.lines().last().unwrap_or_default();
    assert_eq!(code, 0, "{out}\n{err}");
    let (requests, rest) = last.split_once(' ').expect("a number and words");
    assert!(requests.parse::<u32>().expect("a number") > 20, "{last}");
    assert_eq!(rest, "requests, 0 failed");
}

#[test]
fn the_demo_survives_the_death_of_a_server() {
    let child = pointsman(&["demo", "--for", "4s", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let folder = std::env::temp_dir().join(format!("pointsman-demo-{}-0", child.id()));
    let policy = folder.join("pointsman.toml");
    let admin = || {
        let text = std::fs::read_to_string(&policy).ok()?;
        let line = text.lines().find(|line| line.starts_with("listen = "))?;
        line.split('"').nth(1)?.parse::<std::net::SocketAddr>().ok()
    };
    // Before the demo has tried its ports, another process may be the one that answers there.
    let pid = format!("\"pid\": {},", child.id());
    let ready = || admin().filter(|admin| get(*admin, "/status").1.contains(&pid));
    wait_until("it is ready", || ready().is_some());
    let admin = ready().expect("it is ready");
    assert_eq!(
        post(admin, "/demo/kill/2"),
        (200, "two is dead\n".to_owned())
    );
    let output = child.wait_with_output().expect("it ends");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(out.ends_with("requests, 0 failed\n"), "{out}");
    assert!(out.contains("two down"), "{out}");
    assert_eq!(output.status.code(), Some(0));
    assert!(!folder.exists(), "nothing is left behind");
}
