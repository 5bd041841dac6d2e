//! Many certificates at one listener, certificates that change, and those of clients: curl in front,
//! openssl for the authorities.

use std::path::Path;

use tempfile::TempDir;

use crate::programs::{Nginx, run};
use crate::support::{self, *};

/// A folder in which authorities and certificates are made.
struct Office(TempDir);

impl Office {
    fn new() -> Self {
        let office = Self(tempfile::tempdir().expect("a folder"));
        for authority in ["ca", "other-ca"] {
            let subject = format!("/CN={authority}");
            office.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                 -subj {subject} -keyout {authority}.key -out {authority}.pem"
            ));
        }
        office
    }

    fn openssl(&self, words: &str) {
        let folder = self.0.path().display();
        // Paths of openssl's arguments are relative to the folder.
        let words: Vec<String> = words
            .split_whitespace()
            .map(
                |word| match word.contains('.') && !word.starts_with("/CN") {
                    true => format!("{folder}/{word}"),
                    false => word.to_owned(),
                },
            )
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (well, text) = run("openssl", &words);
        assert!(well, "{words:?}: {text}");
    }

    /// `FOLDER/NAME.pem` and `.key` for a host, signed by an authority.
    fn issue(&self, name: &str, host: &str, authority: &str) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={host} \
             -keyout {name}.key -out {name}.csr"
        ));
        std::fs::write(
            self.path("names.ext"),
            format!("subjectAltName=DNS:{host}\n"),
        )
        .expect("written");
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial \
             -days 2 -extfile names.ext -out new.crt"
        ));
        std::fs::rename(self.path("new.crt"), self.path(&format!("{name}.pem"))).expect("there");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn folder(&self) -> std::path::Display<'_> {
        self.0.path().display()
    }
}

/// What curl says of a request for this host, which the connection was opened for as `sni`.
fn ask(
    switch: &Switch,
    office: &Office,
    (sni, host): (&str, &str),
    more: &[&str],
) -> (bool, String) {
    let port = switch.address("web").port();
    let (url, ca) = (format!("https://{sni}:{port}/echo"), office.path("ca.pem"));
    let (resolve, named) = (format!("{sni}:{port}:127.0.0.1"), format!("Host: {host}"));
    let mut args = vec!["--silent", "--show-error", "--verbose", "--max-time", "20"];
    let ca: &Path = &ca;
    args.extend([
        "--cacert",
        ca.to_str().unwrap(),
        "--resolve",
        &resolve,
        "--header",
        &named,
    ]);
    args.extend(more);
    args.push(&url);
    run("curl", &args)
}

fn with_tls(server: std::net::SocketAddr, tls: &str) -> Switch {
    let tls = format!("tls = {tls}\n[[route]]");
    Switch::start(&policy(&[server], "").replace("[[route]]", &tls))
}

#[test]
fn each_host_gets_its_certificate_and_requests_stay_with_it() {
    let nginx = Nginx::start("safe");
    let office = Office::new();
    for host in ["a.example", "b.example"] {
        office.issue(host, host, "ca");
    }
    let own = office.folder();
    let tls = format!(
        "{{ cert = [\"{own}/a.example.pem\", \"{own}/b.example.pem\"], \
         key = [\"{own}/a.example.key\", \"{own}/b.example.key\"] }}"
    );
    let switch = with_tls(nginx.address, &tls);
    for version in ["--http1.1", "--http2"] {
        for host in ["a.example", "b.example"] {
            let (well, text) = ask(&switch, &office, (host, host), &[version]);
            assert!(well && text.contains("safe"), "{text}");
        }
        let (_, text) = ask(&switch, &office, ("a.example", "b.example"), &[version]);
        assert!(text.contains(" 421"), "{text}");
    }
    let (_, metrics) = switch.admin("GET", "/metrics");
    assert!(metrics.contains("reason=\"misdirected\""), "{metrics}");
}

#[test]
fn certificates_that_change_are_used_without_a_reload_and_broken_ones_are_not() {
    let nginx = Nginx::start("safe");
    let office = Office::new();
    std::fs::create_dir(office.path("all")).expect("a folder");
    office.issue("all/a", "a.example", "ca");
    let own = office.folder();
    let switch = with_tls(nginx.address, &format!("{{ folder = \"{own}/all\" }}"));
    let serves = |host: &str| ask(&switch, &office, (host, host), &[]).0;
    assert!(serves("a.example"));
    assert!(!serves("c.example"));

    let policy = std::fs::read_to_string(switch.file()).expect("its file");
    std::fs::write(switch.file(), policy.replace("[[route]]", "oops")).expect("written");
    office.issue("all/c", "c.example", "ca");
    wait_until("the new certificate is used", || serves("c.example"));
    assert!(serves("a.example"), "the policy's file was not read");

    office.issue("all/a", "a.example", "other-ca");
    wait_until("the other certificate is used", || !serves("a.example"));
    std::fs::write(office.path("all/a.pem"), "nonsense").expect("written");
    wait_until("it is told", || {
        let (_, events) = switch.admin("GET", "/events");
        events.contains("reload-refused") && events.contains("a.pem")
    });
    assert!(serves("c.example"), "the last good ones stay");
}

#[test]
fn clients_show_certificates_and_backends_hear_of_them_and_of_no_forged_one() {
    let server = Backend::start("one");
    let office = Office::new();
    office.issue("server", "a.example", "ca");
    office.issue("staff", "alice", "ca");
    office.issue("stranger", "mallory", "other-ca");
    let own = office.folder();
    let tls = |optional: bool| {
        format!(
            "{{ cert = \"{own}/server.pem\", key = \"{own}/server.key\", \
             clients = {{ ca = \"{own}/ca.pem\", optional = {optional} }} }}"
        )
    };
    let show = |who: &str| {
        let file = |ending: &str| {
            office
                .path(&format!("{who}.{ending}"))
                .display()
                .to_string()
        };
        [
            "--cert".to_owned(),
            file("pem"),
            "--key".to_owned(),
            file("key"),
        ]
    };
    let forged = [
        "--header",
        "Client-Cert: :Zm9yZ2Vk:",
        "--header",
        "Client_Cert: :Zm9yZ2Vk:",
    ];
    let asked = |switch: &Switch, who: Option<&str>| {
        let shown = who.map(show);
        let shown = shown.iter().flatten().map(String::as_str);
        let more: Vec<&str> = forged.into_iter().chain(shown).collect();
        let (well, text) = ask(switch, &office, ("a.example", "a.example"), &more);
        let body = text.lines().find(|line| line.starts_with('{'));
        (well && body.is_some(), body.unwrap_or(&text).to_lowercase())
    };
    let switch = with_tls(server.address, &tls(false));
    let (well, told) = asked(&switch, Some("staff"));
    assert!(well && told.contains("client-cert"), "{told}");
    assert!(!told.contains("zm9yz2vk"), "{told}");
    for who in [None, Some("stranger")] {
        let (well, told) = asked(&switch, who);
        assert!(!well, "{who:?}: {told}");
    }
    let switch = with_tls(server.address, &tls(true));
    let (well, told) = asked(&switch, None);
    assert!(
        well && !told.contains("client-cert") && !told.contains("client_cert"),
        "{told}"
    );
    assert!(asked(&switch, Some("staff")).0);
    assert!(!asked(&switch, Some("stranger")).0);
}

#[test]
fn check_tells_of_certificates_that_end_soon_and_of_hosts_without_one() {
    let office = Office::new();
    office.issue("a", "a.example", "ca");
    let own = office.folder();
    let policy = format!(
        "[listener.web]\nbind = \":0\"\ntls = {{ folder = \"{own}\", cert = \"{own}/a.pem\", \
         key = \"{own}/a.key\" }}\n[[route]]\nmatch = {{ host = [\"a.example\", \"*.b.example\"] }}\n\
         pool = \"app\"\n[pool.app]\nbackends = [\"127.0.0.1:3000\"]\n"
    );
    let file = office.path("policy.toml");
    std::fs::write(&file, policy).expect("written");
    let (code, _, told) = support::run(&["check", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("a.pem: the certificate is over in "),
        "{told}"
    );
    assert!(told.contains("no certificate for *.b.example"), "{told}");
    assert!(!told.contains("no certificate for a.example"), "{told}");
}

/// An nginx that speaks TLS as `backend.internal`, asks for certificates of `ca`, and tells whose it got.
fn tls_server(office: &Office) -> (Nginx, std::net::SocketAddr) {
    let (own, address) = (office.folder(), free_address());
    let server = format!(
        "server {{ listen {address} ssl; ssl_certificate {own}/backend.pem; \
         ssl_certificate_key {own}/backend.key; ssl_verify_client optional; \
         ssl_client_certificate {own}/ca.pem; location / {{ \
         return 200 \"$ssl_server_name $ssl_client_s_dn\\n\"; }} }}\n"
    );
    (Nginx::start_with("plain", free_address(), &server), address)
}

#[test]
fn backends_are_spoken_to_by_tls_and_have_to_be_who_they_are() {
    let office = Office::new();
    office.issue("backend", "backend.internal", "ca");
    office.issue("switch", "pointsman", "ca");
    let (_nginx, address) = tls_server(&office);
    let own = office.folder();
    let pool = |tls: &str| {
        format!(
            "tls = {{ {tls} }}\nhealth = {{ path = \"/\", interval = \"100ms\", fall = 1, rise = 1 }}\n"
        )
    };
    let sound = format!(
        "ca = \"{own}/ca.pem\", name = \"backend.internal\", cert = \"{own}/switch.pem\", \
         key = \"{own}/switch.key\""
    );
    let switch = Switch::start(&policy(&[address], &pool(&sound)));
    switch.wait_for_states(&["up"]);
    for _ in 0..3 {
        let (status, body) = switch.get("/");
        assert_eq!(
            (status, body.trim()),
            (200, "backend.internal CN=pointsman")
        );
    }

    let strange = format!("ca = \"{own}/other-ca.pem\", name = \"backend.internal\"");
    let misnamed = format!("ca = \"{own}/ca.pem\", name = \"other.internal\"");
    for wrong in [strange.as_str(), &misnamed, "name = \"backend.internal\""] {
        let tls = pool(wrong).replace("health", "#");
        switch.rewrite(&policy(&[address], &tls));
        assert_eq!(switch.reload(), 0);
        assert_eq!(switch.get("/").0, 502, "{wrong}");
    }
    let (_, metrics) = switch.admin("GET", "/metrics");
    assert!(metrics.contains("reason=\"tls_certificate\""), "{metrics}");

    switch.rewrite(&policy(&[address], &pool(&misnamed)));
    assert_eq!(switch.reload(), 0);
    switch.wait_for_states(&["down"]);
    assert!(switch.status().to_string().contains("TLS: "), "it says why");

    switch.rewrite(&policy(
        &[address],
        &pool("verify = false").replace("health", "#"),
    ));
    assert_eq!(switch.reload(), 0);
    assert_eq!(switch.get("/").0, 200);
}

#[test]
fn bytes_of_a_tcp_pool_go_encrypted_as_well() {
    let office = Office::new();
    office.issue("backend", "backend.internal", "ca");
    let (_nginx, address) = tls_server(&office);
    let own = office.folder();
    let switch = Switch::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n\
         pool = \"app\"\n[pool.app]\nbackends = [\"{address}\"]\n\
         tls = {{ ca = \"{own}/ca.pem\", name = \"backend.internal\" }}\n"
    ));
    let (status, body) = switch.get("/");
    assert_eq!((status, body.trim()), (200, "backend.internal"));
}
