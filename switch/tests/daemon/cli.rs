use std::process::Stdio;

use crate::support::*;

const RIGHT: &str = "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n\
                     [pool.app]\nbackends = [\"127.0.0.1:3000\"]\n";

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.toml");
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    (folder, path)
}

#[test]
fn check_of_a_right_policy_ends_with_0() {
    let (_folder, path) = file(RIGHT);
    let (code, out, err) = run(&["check", &path]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(err.contains("right"), "{err}");
    assert_eq!(run(&["check", "--format", "json", &path]).1.trim(), "[]");
}

#[test]
fn check_of_a_wrong_policy_ends_with_1_and_tells_where() {
    let (_folder, path) = file(&RIGHT.replace("backends", "backend"));
    let (code, out, _) = run(&["check", &path]);
    assert_eq!(code, 1);
    assert!(out.contains("p.toml:6"), "{out}");
    let (code, out, _) = run(&["check", "--format", "json", &path]);
    assert_eq!(code, 1);
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report[0]["line"], 6, "{out}");
    let (code, out, _) = run(&["check", "--format", "github", &path]);
    assert_eq!(code, 1);
    assert!(out.starts_with("::error file="), "{out}");
}

#[test]
fn check_says_what_direct_return_lacks_on_this_machine_and_the_policy_is_right_all_the_same() {
    let test =
        "check_says_what_direct_return_lacks_on_this_machine_and_the_policy_is_right_all_the_same";
    if std::process::Command::new("setpriv")
        .arg("-V")
        .output()
        .is_err()
    {
        return skip(test, "needs the program setpriv (util-linux)");
    }
    let check = |fallback: &str, pins: &str| {
        let (_folder, path) = file(&format!(
            "[process]\ndirect = {{ pins = \"{pins}\" }}\n\
             [listener.web]\nbind = \"192.0.2.10:80\"\nprotocol = \"tcp\"\npool = \"web\"\n\
             [pool.web]\nforward = \"direct\"\nbackends = [\"192.0.2.21:80\"]\n{fallback}\n"
        ));
        let program = env!("CARGO_BIN_EXE_pointsman");
        let mut command = std::process::Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.args(["--bounding-set=-all", "--inh-caps=-all"]);
        }
        let done = command.args([program, "check", &path]).output();
        let done = done.expect("setpriv runs");
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    let (code, err) = check("", "/sys/fs/bpf/none");
    assert_eq!(code, Some(0), "{err}");
    let told = "the switch would not start: direct return needs the capabilities CAP_BPF";
    assert!(err.contains(told), "{err}");
    assert!(err.contains("AmbientCapabilities="), "{err}");
    let (code, err) = check("fallback = \"proxy\"", "/tmp/none");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("the switch would proxy `web`:"), "{err}");
    assert!(
        err.contains("/tmp/none is not on a BPF file system"),
        "{err}"
    );
}

#[test]
fn clearing_direct_return_wants_rights_and_a_policy_that_can_be_read() {
    let (_folder, path) = file("[listener");
    let (code, _, err) = run(&["direct", "clear", &path]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("--pins names the folder"), "{err}");
    assert_eq!(run(&["direct", "clear", &path, "--pins", "/x"]).0, 2);
}

#[test]
fn schema_is_json_and_reference_is_markdown() {
    let (code, out, _) = run(&["schema"]);
    assert_eq!(code, 0);
    let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert!(schema["properties"]["listener"].is_object());
    let (code, out, _) = run(&["reference"]);
    assert_eq!(code, 0);
    assert!(out.contains("# "), "{out}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    assert_eq!(run(&["fly"]).0, 2);
    assert_eq!(run(&["run", "--listen", ":8080"]).0, 2);
    assert_eq!(run(&["status", "--admin", "nowhere"]).0, 2);
}

#[test]
fn when_no_switch_answers_it_ends_with_3() {
    let address = free_address().to_string();
    let commands: [&[&str]; 5] = [
        &["status"],
        &["reload"],
        &["contact", "status"],
        &["contact", "yield"],
        &["contact", "resume"],
    ];
    for command in commands {
        let (code, out, err) = run(&[command, &["--admin", &address]].concat());
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
        assert!(err.contains(&address), "{err}");
    }
}

#[test]
fn run_of_a_wrong_policy_ends_with_1_and_the_report() {
    let (_folder, path) = file(&RIGHT.replace("backends", "backend"));
    let (code, _, err) = run(&["run", &path]);
    assert_eq!(code, 1);
    assert!(err.contains("p.toml:6"), "{err}");
}

#[test]
fn run_on_a_taken_address_ends_with_5_and_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (_folder, path) = file(&RIGHT.replace("127.0.0.1:0", &address));
    let (code, _, err) = run(&["run", &path]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains(&address), "{err}");
}

#[test]
fn run_needs_no_file() {
    let backend = Backend::start("one");
    let front = free_address();
    let (listen, server) = (front.to_string(), backend.address.to_string());
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = pointsman(&["run", "--listen", &listen, "--backend", &server])
        .env("XDG_RUNTIME_DIR", folder.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    wait_until("an answer", || get(front, "/") == (200, "one\n".to_owned()));
    child.kill().expect("it lives");
    child.wait().expect("it is ours");
}

#[test]
fn status_shows_what_there_is() {
    let backend = Backend::start("one");
    let switch = Switch::start(&policy(&[backend.address], CHECKED));
    assert_eq!(switch.get("/").0, 200);
    let path = switch.file();
    let path = path.to_str().expect("a path in UTF-8");
    let (code, out, err) = run(&["status", path]);
    assert_eq!(code, 0, "{err}");
    for part in [
        "listener web",
        "route default",
        "pool app",
        " up ",
        "1 requests",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let (code, out, _) = run(&["status", "--json", path]);
    assert_eq!(code, 0);
    let status: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(status["state"], "ready");
    assert_eq!(status["pools"][0]["backends"][0]["requests"], 1);
}

#[test]
fn a_switch_without_a_contact_address_says_so_with_1() {
    let backend = Backend::start("one");
    let switch = Switch::start(&policy(&[backend.address], ""));
    let path = switch.file();
    let path = path.to_str().expect("a path in UTF-8");
    let asked: [&[&str]; 4] = [
        &["contact", "status", path],
        &["contact", "status", "--json", path],
        &["contact", "yield", "--group", "51", "--force", path],
        &["contact", "resume", path],
    ];
    for args in asked {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}: {err}");
        assert!(err.contains("no contact address"), "{args:?}: {err}");
    }
    let (code, out, _) = run(&["status", path]);
    assert_eq!((code, out.contains("contact")), (0, false), "{out}");
    assert_eq!(switch.admin("POST", "/contact/yield").0, 404);
    assert_eq!(switch.admin("POST", "/contact/yield?group=0").0, 400);
    assert_eq!(switch.admin("GET", "/contact/yield").0, 405);
    assert_eq!(run(&["contact", "yield", "--group", "0", path]).0, 2);
}

#[test]
fn the_admin_interface_answers_the_known_paths_only() {
    let backend = Backend::start("one");
    let switch = Switch::start(&policy(&[backend.address], ""));
    assert_eq!(switch.admin("GET", "/health").0, 200);
    assert_eq!(switch.admin("GET", "/reload").0, 405);
    assert_eq!(switch.admin("POST", "/status").0, 405);
    assert_eq!(switch.admin("GET", "/etc/passwd").0, 404);
    let (code, metrics) = switch.admin("GET", "/metrics");
    assert_eq!(code, 200);
    assert!(metrics.contains("pointsman_backend_state{"), "{metrics}");
}
