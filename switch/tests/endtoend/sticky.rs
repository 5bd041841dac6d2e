//! Cookies that keep a client with its backend, seen by curl and its cookie jar.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::client::{Answer, Conn};
use crate::programs::{certificate, curl};
use crate::support::*;

const STICKY: &str =
    "sticky = { cookie = \"SRV\", ttl = \"1h\", key = \"the key of two switches\" }";

/// A browser.
struct Jar {
    folder: tempfile::TempDir,
    more: Vec<String>,
}

impl Jar {
    fn new(more: &[&str]) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            more: more.iter().map(|arg| (*arg).to_owned()).collect(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("jar")
    }

    fn get(&self, url: &str) -> String {
        let file = self.file();
        let file = file.to_str().expect("UTF-8");
        let mut args = vec!["--fail", "--cookie", file, "--cookie-jar", file];
        args.extend(self.more.iter().map(String::as_str));
        args.push(url);
        curl(&args).trim().to_owned()
    }

    /// What the jar holds under this name.
    fn cookie(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.file()).ok()?;
        let mut lines = text
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let line = lines.find(|line| line.len() == 7 && line[5] == name)?;
        Some(line[6].to_owned())
    }
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

fn named(name: &str, servers: &[&Backend]) -> usize {
    let names = ["one", "two", "three"];
    let place = names.iter().position(|known| *known == name);
    let place = place.expect("one of the servers answers");
    assert!(place < servers.len());
    place
}

fn stays(more: &[&str]) {
    let servers = ["one", "two", "three"].map(Backend::start);
    let all: Vec<_> = servers.iter().collect();
    let switch = Switch::start(&policy(&servers.each_ref().map(|one| one.address), STICKY));
    let web = switch.address("web");
    let jar = Jar::new(more);
    let home = jar.get(&url(web, "/"));
    let cookie = jar.cookie("SRV").expect("a cookie");
    for _ in 0..6 {
        assert_eq!(jar.get(&url(web, "/")), home);
    }
    assert_eq!(jar.cookie("SRV").as_ref(), Some(&cookie), "it is set once");
    let dead = &servers[named(&home, &all)];
    assert!(!cookie.contains(&home) && !cookie.contains(&dead.address.port().to_string()));
    let told = jar.get(&url(web, "/echo"));
    assert!(!told.contains(&cookie), "backends do not see it: {told}");
    dead.control.kill();
    let other = jar.get(&url(web, "/"));
    assert_ne!(other, home, "it fell to another one, and nothing failed");
    let new = jar.cookie("SRV").expect("a cookie");
    assert_ne!(new, cookie);
    for _ in 0..6 {
        assert_eq!(jar.get(&url(web, "/")), other);
    }
    assert_eq!(jar.cookie("SRV"), Some(new));
}

#[test]
fn a_browser_stays_with_its_backend_until_it_dies_and_then_with_another() {
    stays(&[]);
}

#[test]
fn so_does_a_browser_that_speaks_http2() {
    stays(&["--http2-prior-knowledge"]);
}

fn ask(conn: &mut Conn, cookie: &str) -> (String, Option<String>) {
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n");
    let answer = conn.ask(&request).expect("an answer");
    assert_eq!(answer.status, 200);
    let set = answer.field("set-cookie").map(str::to_owned);
    (answer.text().trim().to_owned(), set)
}

fn pair(set: &str) -> &str {
    set.split(';').next().expect("a pair")
}

#[test]
fn a_cookie_is_good_on_every_switch_with_its_key_and_elsewhere_it_is_none() {
    let servers = ["one", "two", "three"].map(Backend::start);
    let text = policy(&servers.each_ref().map(|one| one.address), STICKY);
    let (first, second) = (Switch::start(&text), Switch::start(&text));
    let other = Switch::start(&text.replace("the key of two", "another key of"));
    let (home, set) = ask(&mut Conn::open(first.address("web")), "");
    let set = set.expect("a cookie");
    let cookie = format!("Cookie: a=b; {}\r\n", pair(&set));
    let mut conn = Conn::open(second.address("web"));
    for _ in 0..6 {
        assert_eq!(ask(&mut conn, &cookie), (home.clone(), None));
    }
    let (_, new) = ask(&mut Conn::open(other.address("web")), &cookie);
    let new = new.expect("a forged cookie is no cookie");
    assert_ne!(pair(&new), pair(&set));
}

#[test]
fn a_backend_that_is_taken_out_loses_its_clients_and_gets_them_back() {
    let servers = ["one", "two"].map(Backend::start);
    let weights = |one: u32| {
        policy(&[], STICKY).replace(
            "backends = []",
            &format!(
                "backends = [{{ addr = \"{}\", weight = {one} }}, \"{}\"]",
                servers[0].address, servers[1].address
            ),
        )
    };
    let switch = Switch::start(&weights(1));
    let mut conn = Conn::open(switch.address("web"));
    let mut first = || loop {
        let (name, set) = ask(&mut conn, "");
        if name == "one" {
            return set.expect("a cookie");
        }
    };
    let cookie = format!("Cookie: {}\r\n", pair(&first()));
    let reload = |weight| {
        switch.rewrite(&weights(weight));
        assert_eq!(switch.admin("POST", "/reload").0, 200);
    };
    reload(0);
    let mut conn = Conn::open(switch.address("web"));
    let (name, set) = ask(&mut conn, &cookie);
    assert_eq!(name, "two");
    assert!(set.is_some());
    reload(1);
    assert_eq!(ask(&mut conn, &cookie), ("one".to_owned(), None));
}

#[test]
fn pools_of_one_host_share_a_cookie_and_do_not_clash() {
    let servers = ["one", "two", "three"].map(Backend::start);
    let list = servers.each_ref().map(|one| format!("\"{}\"", one.address));
    let list = list.join(", ");
    let switch = Switch::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[defaults.pool]\n{STICKY}\n\
         [[route]]\npool = \"app\"\n[[route]]\nmatch = {{ path = \"/api/*\" }}\npool = \"api\"\n\
         rewrite = {{ prefix = \"/\" }}\n\
         [pool.app]\nbackends = [{list}]\n[pool.api]\nbackends = [{list}]\nbalance = \"random\"\n"
    ));
    let web = switch.address("web");
    for _ in 0..4 {
        let jar = Jar::new(&[]);
        let (app, api) = (jar.get(&url(web, "/")), jar.get(&url(web, "/api/")));
        let cookie = jar.cookie("SRV");
        for _ in 0..4 {
            assert_eq!(jar.get(&url(web, "/")), app);
            assert_eq!(jar.get(&url(web, "/api/")), api);
        }
        assert_eq!(jar.cookie("SRV"), cookie);
    }
}

#[test]
fn a_cookie_that_is_set_over_tls_is_for_tls_alone() {
    let server = Backend::start("one");
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let file = |name: &str| Path::join(folder.path(), name).display().to_string();
    let tls = format!(
        "[listener.tls]\nbind = \"127.0.0.1:0\"\ntls = {{ cert = \"{}\", key = \"{}\" }}\n[[route]]",
        file("cert.pem"),
        file("key.pem")
    );
    let text = policy(&[server.address], STICKY).replacen("[[route]]", &tls, 1);
    let switch = Switch::start(&text);
    let head = |url: &str| curl(&["--insecure", "--include", url]).to_ascii_lowercase();
    let plain = head(&url(switch.address("web"), "/"));
    let common = "; path=/; max-age=3600; httponly; samesite=lax\r\n";
    assert!(
        plain.contains("set-cookie: srv=") && plain.contains(common),
        "{plain}"
    );
    let port = switch.address("tls").port();
    let secure = head(&format!("https://localhost:{port}/"));
    let common = common.replace("\r\n", "; secure\r\n");
    assert!(secure.contains(&common), "{secure}");
}

#[test]
fn a_websocket_stays_too() {
    let servers = ["one", "two", "three"].map(Backend::start);
    let switch = Switch::start(&policy(
        &servers.each_ref().map(|one| one.address),
        &format!("balance = \"random\"\n{STICKY}"),
    ));
    let mut conn = Conn::open(switch.address("web"));
    let (home, set) = ask(&mut conn, "");
    let cookie = format!("Cookie: {}\r\n", pair(&set.expect("a cookie")));
    for _ in 0..4 {
        let (_socket, answer) = upgraded(&switch, &cookie);
        assert_eq!(answer.field("x-backend"), Some(home.as_str()));
        assert_eq!(answer.field("set-cookie"), None);
    }
}

fn upgraded(switch: &Switch, cookie: &str) -> (Conn, Answer) {
    let mut conn = Conn::open(switch.address("web"));
    let answer = conn
        .ask(&format!(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{cookie}\r\n"
        ))
        .expect("an answer");
    assert_eq!(answer.status, 101);
    (conn, answer)
}
