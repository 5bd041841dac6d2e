//! HTTP/1.1, HTTP/2 and TLS, spoken by programs of others.

use crate::programs::{Nginx, certificate, curl, run};
use crate::support::*;

#[test]
fn http_1_and_http_2_share_a_port() {
    let nginx = Nginx::start("one");
    let switch = Switch::start(&policy(&[nginx.address], ""));
    let url = format!("http://{}/", switch.address("web"));
    let version = ["--write-out", "%{http_version}"];
    assert_eq!(
        curl(&[&["--http1.1", url.as_str()], &version[..]].concat()),
        "one\n1.1"
    );
    let prior = ["--http2-prior-knowledge", url.as_str()];
    assert_eq!(curl(&[&prior, &version[..]].concat()), "one\n2");
}

#[test]
fn http_2_carries_many_streams_and_none_fails() {
    let nginx = Nginx::start("one");
    let switch = Switch::start(&policy(&[nginx.address], ""));
    let url = format!("http://{}/", switch.address("web"));
    let (well, text) = run("h2load", &["-n", "3000", "-c", "4", "-m", "25", &url]);
    assert!(well, "{text}");
    let told = "requests: 3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed, \
                0 errored, 0 timeout";
    assert!(text.contains(told), "{text}");
}

#[test]
fn an_http_2_body_reaches_the_server_and_comes_back() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    let folder = tempfile::tempdir().expect("a folder");
    let body = "0123456789abcdef".repeat(20_000);
    let file = folder.path().join("body");
    std::fs::write(&file, &body).expect("written");
    let data = format!("@{}", file.display());
    let url = format!("http://{}/echo", switch.address("web"));
    let text = curl(&["--http2-prior-knowledge", "--data-binary", &data, &url]);
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["method"], "POST");
    assert!(told["body"] == body, "320,000 bytes come back as they were");
}

/// A switch that terminates TLS; the folder holds `cert.pem`.
fn with_tls(server: std::net::SocketAddr) -> (tempfile::TempDir, Switch) {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let own = folder.path().display();
    let tls = format!("tls = {{ cert = \"{own}/cert.pem\", key = \"{own}/key.pem\" }}\n[[route]]");
    let switch = Switch::start(&policy(&[server], "").replace("[[route]]", &tls));
    (folder, switch)
}

#[test]
fn tls_1_2_and_1_3_speak_http_1_and_http_2_by_alpn() {
    let nginx = Nginx::start("safe");
    let (folder, switch) = with_tls(nginx.address);
    let port = switch.address("web").port();
    let cert = folder.path().join("cert.pem");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let common = [
        "--verbose",
        "--cacert",
        cert.to_str().unwrap(),
        "--resolve",
        &resolve,
    ];
    let url = format!("https://localhost:{port}/");
    for (version, limit) in [("TLSv1.2", "1.2"), ("TLSv1.3", "1.3")] {
        for (flag, http) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let least = format!("--tlsv{limit}");
            let mut args = common.to_vec();
            args.extend([flag, &least, "--tls-max", limit, &url]);
            args.extend(["--write-out", "over HTTP %{http_version}"]);
            let mut command = vec!["--silent", "--show-error", "--max-time", "20"];
            command.extend(args);
            let (well, text) = run("curl", &command);
            assert!(well, "{text}");
            assert!(text.contains("safe\n"), "{text}");
            assert!(
                text.contains(&format!("SSL connection using {version}")),
                "{text}"
            );
            assert!(text.contains(&format!("over HTTP {http}")), "{text}");
        }
    }
    let metrics = switch.admin("GET", "/metrics").1;
    let count = |version: &str| {
        let part = format!("result=\"success\",version=\"{version}\"");
        let line = metrics.lines().find(|line| line.contains(&part));
        line.and_then(|line| line.rsplit(' ').next())
            .map(str::to_owned)
    };
    assert_eq!(
        count("1.2").or(count("TLSv1.2")).as_deref(),
        Some("2"),
        "{metrics}"
    );
    assert_eq!(
        count("1.3").or(count("TLSv1.3")).as_deref(),
        Some("2"),
        "{metrics}"
    );
}

#[test]
fn old_versions_of_tls_and_plain_text_on_a_tls_port_get_nothing() {
    let nginx = Nginx::start("safe");
    let (_folder, switch) = with_tls(nginx.address);
    let target = switch.address("web").to_string();
    let (well, text) = run("openssl", &["s_client", "-connect", &target, "-tls1_1"]);
    assert!(!well, "{text}");
    let mut conn = crate::client::Conn::open(switch.address("web"));
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(!String::from_utf8_lossy(&conn.rest()).contains("safe"));
    wait_until("the failures are counted", || {
        let metrics = switch.admin("GET", "/metrics").1;
        let mut lines = metrics.lines();
        lines.any(|line| line.contains("tls_handshakes_total") && line.contains("failure"))
    });
}
