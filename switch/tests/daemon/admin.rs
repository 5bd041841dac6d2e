//! Who may do what over the admin interface.

use std::net::SocketAddr;

use crate::support::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A switch whose admin interface listens at this address, and which is ready.
fn at(
    listen: &str,
    more: &str,
    backend: SocketAddr,
) -> (tempfile::TempDir, std::process::Child, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.toml");
    let text = format!(
        "[admin]\nlisten = \"{listen}\"\n{more}\n{}",
        policy(&[backend], "")
    );
    std::fs::write(&file, text).expect("written");
    let file = file.to_str().expect("a path in UTF-8").to_owned();
    let mut child = pointsman(&["run", &file]).spawn().expect("it starts");
    let port: u16 = listen
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    wait_until("it is ready", || {
        get(([127, 0, 0, 1], port).into(), "/ready").0 == 200
            || child.try_wait().is_ok_and(|end| end.is_some())
    });
    (folder, child, file)
}

fn end(mut child: std::process::Child) {
    child.kill().expect("it lives");
    child.wait().expect("it is ours");
}

#[test]
fn with_a_token_changes_over_tcp_need_it_and_looking_does_not() {
    let one = Backend::start("one");
    for host in ["127.0.0.1", "0.0.0.0"] {
        let port = free_address().port();
        let listen = format!("{host}:{port}");
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("token");
        std::fs::write(&secret, format!("{TOKEN}\n")).expect("written");
        let token = format!("token = \"${{file:{}}}\"", secret.display());
        let (_kept, child, file) = at(&listen, &token, one.address);
        let admin = format!("127.0.0.1:{port}");
        let address: SocketAddr = admin.parse().expect("an address");
        assert_eq!(get(address, "/status").0, 200, "{host}");
        assert_eq!(get(address, "/events").0, 200, "{host}");
        let inside = if host == "127.0.0.1" { 200 } else { 401 };
        assert_eq!(get(address, "/policy").0, inside, "{host}");
        assert_eq!(post(address, "/reload").0, 401, "{host}");
        let (code, _, err) = run(&["reload", "--admin", &admin]);
        assert_eq!(code, 4, "{err}");
        assert!(err.contains("--token-file"), "{err}");
        let secret = secret.to_str().expect("a path in UTF-8");
        let (code, _, err) = run(&[
            "reload",
            "--wait",
            "--admin",
            &admin,
            "--token-file",
            secret,
        ]);
        assert_eq!(code, 0, "{err}");
        let mut by_variable = pointsman(&["reload", "--wait", "--admin", &admin]);
        let output = by_variable
            .env("POINTSMAN_TOKEN", TOKEN)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        if host == "127.0.0.1" {
            let (code, _, err) = run(&["reload", "--wait", &file]);
            assert_eq!(code, 0, "who may read the policy has its token: {err}");
        }
        let wrong = format!("{TOKEN}x");
        for _ in 0..10 {
            let mut guess = pointsman(&["reload", "--admin", &admin]);
            let output = guess
                .env("POINTSMAN_TOKEN", &wrong)
                .output()
                .expect("it runs");
            assert_eq!(output.status.code(), Some(4), "{output:?}");
        }
        let mut late = pointsman(&["reload", "--admin", &admin]);
        let output = late
            .env("POINTSMAN_TOKEN", TOKEN)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("too many wrong tokens"), "{said}");
        end(child);
    }
}

#[test]
fn without_a_token_loopback_may_change_and_the_network_may_not() {
    let one = Backend::start("one");
    for (host, code) in [("127.0.0.1", 0), ("0.0.0.0", 4)] {
        let port = free_address().port();
        let (_kept, child, _) = at(&format!("{host}:{port}"), "", one.address);
        let admin = format!("127.0.0.1:{port}");
        let (got, _, err) = run(&["reload", "--wait", "--admin", &admin]);
        assert_eq!(got, code, "{host}: {err}");
        let list = run(&["backend", "list", "--admin", &admin]);
        assert_eq!(list.0, 0, "{host}: {}", list.2);
        end(child);
    }
}

#[test]
fn a_unix_socket_asks_for_no_token() {
    let one = Backend::start("one");
    let switch = Switch::start(&policy(&[one.address], ""));
    let text = std::fs::read_to_string(switch.file()).expect("there");
    let text = text.replace("[admin]\n", &format!("[admin]\ntoken = \"{TOKEN}\"\n"));
    std::fs::write(switch.file(), text).expect("written");
    assert_eq!(switch.reload(), 0);
    assert_eq!(switch.reload(), 0, "nor after it is in force");
}
