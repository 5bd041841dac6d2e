//! What a reload would change, and what would become of a request: told before it happens, and
//! compared with what happens then.

use std::collections::HashSet;

use serde_json::Value;

use crate::support::*;

fn plan(args: &[&str]) -> (i32, Value) {
    let (code, out, err) = run(&[&["plan", "--json"], args].concat());
    let plan = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{err}"));
    (code, plan)
}

/// The things of this kind that a plan adds, removes or changes.
fn names(plan: &Value, kind: &str, change: &str) -> HashSet<String> {
    let changes = plan["changes"].as_array().expect("a list").iter();
    let wanted = changes.filter(|one| one["kind"] == kind && one["change"] == change);
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    wanted.map(name).collect()
}

fn backends(status: &Value) -> HashSet<(String, u64)> {
    let pools = status["pools"].as_array().expect("a list").iter();
    let pool = |pool: &Value| {
        let own = pool["backends"].as_array().expect("a list").clone();
        let name = pool["name"].as_str().expect("a name").to_owned();
        own.into_iter().map(move |one| {
            let backend = one["name"].as_str().expect("a name");
            (
                format!("{name}/{backend}"),
                one["weight"].as_u64().expect("a weight"),
            )
        })
    };
    pools.flat_map(pool).collect()
}

#[test]
fn a_plan_tells_what_the_reload_then_does() {
    let backend = [
        Backend::start("one"),
        Backend::start("two"),
        Backend::start("three"),
    ];
    let [one, two, three] = [0, 1, 2].map(|n| backend[n].address);
    let before = policy(&[one, two], "");
    let switch = Switch::start(&before);
    let admin = switch.admin_word();
    let more = free_address();
    let after = format!(
        "[listener.more]\nbind = \"{more}\"\n[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [[route]]\npool = \"app\"\n[[route]]\nmatch = {{ path = \"/new\" }}\npool = \"new\"\n\
         [pool.app]\nbackends = [{{ addr = \"{two}\", weight = 3 }}]\n\
         [pool.new]\nbackends = [\"{three}\"]\n"
    );
    let first = switch.status();
    switch.rewrite(&after);
    let file = switch.file();
    let file = file.to_str().expect("a path in UTF-8");
    let (code, told) = plan(&[file, "--admin", &admin]);
    assert_eq!(code, 0);
    assert_eq!(
        switch.status()["policy"],
        first["policy"],
        "a plan changes nothing"
    );
    assert_eq!(switch.reload(), 0);
    let second = switch.status();
    let (old, new) = (backends(&first), backends(&second));
    let only =
        |some: &HashSet<(String, u64)>, others: &HashSet<(String, u64)>| -> HashSet<String> {
            let others: HashSet<&String> = others.iter().map(|(name, _)| name).collect();
            let left = some.iter().filter(|(name, _)| !others.contains(name));
            left.map(|(name, _)| name.clone()).collect()
        };
    assert_eq!(names(&told, "backend", "added"), only(&new, &old));
    assert_eq!(names(&told, "backend", "removed"), only(&old, &new));
    let reweighted = HashSet::from([format!("app/{two}")]);
    assert_eq!(names(&told, "backend", "changed"), reweighted);
    assert_eq!(
        names(&told, "listener", "added"),
        HashSet::from(["more".to_owned()])
    );
    assert_eq!(
        names(&told, "route", "added"),
        HashSet::from(["/new".to_owned()])
    );
    assert_eq!(names(&told, "listener", "changed"), HashSet::new());
    assert_eq!(switch.address("more"), more);
    let (code, told) = plan(&[file, "--admin", &admin]);
    assert_eq!((code, &told["changes"]), (0, &Value::Array(Vec::new())));
    let (code, out, _) = run(&["plan", file, "--admin", &admin]);
    assert_eq!(code, 0);
    assert!(out.starts_with("nothing changes\n"), "{out}");
}

#[test]
fn a_plan_against_a_file_needs_no_switch_and_tells_mistakes_as_check_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    let text = policy(&["10.0.0.1:80".parse().expect("an address")], "");
    let old = write("old.toml", &text);
    let new = write("new.toml", &text.replace("10.0.0.1", "10.0.0.2"));
    let (code, out, err) = run(&["plan", &new, "--against", &old]);
    assert_eq!(code, 0, "{err}");
    for part in [
        "- backend app/10.0.0.1:80",
        "+ backend app/10.0.0.2:80",
        "=> begins as",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let wrong = write("wrong.toml", &text.replace("backends", "backend"));
    let (code, out, _) = run(&["plan", &wrong, "--against", &old]);
    let (_, checked, _) = run(&["check", &wrong]);
    assert_eq!((code, out), (1, checked));
    let free = free_address().to_string();
    assert_eq!(run(&["plan", &new, "--admin", &free]).0, 3);
}

#[test]
fn an_explanation_agrees_with_what_then_happens() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let text = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [[route]]\nname = \"all\"\npool = \"app\"\n\
         [[route]]\nname = \"beta\"\nmatch = {{ path = \"/beta/*\", header = {{ x-beta = \"on\" }} }}\n\
         respond = {{ status = 418 }}\n\
         [pool.app]\nbalance = \"hash\"\nhash = \"path\"\nbackends = [\"{}\", \"{}\"]\n",
        one.address, two.address
    );
    let switch = Switch::start(&text);
    let (web, admin) = (switch.address("web"), switch.admin_word());
    let explain = |path: &str, more: &[&str]| -> Value {
        let url = format!("http://{web}{path}");
        let words = ["explain", "GET", &url, "--json", "--admin", &admin];
        let (code, out, err) = run(&[&words, more].concat());
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).expect("JSON")
    };
    let generation = switch.status()["policy"]["generation"].clone();
    let mut chosen = HashSet::new();
    for n in 0..12 {
        let path = format!("/key/{n}");
        let told = explain(&path, &[]);
        assert_eq!(told["route"]["name"], "all");
        let name = told["pool"]["chosen"].as_str().expect("it is certain");
        let expected = if name == one.address.to_string() {
            "one\n"
        } else {
            "two\n"
        };
        assert_eq!(get(web, &path), (200, expected.to_owned()));
        chosen.insert(name.to_owned());
    }
    assert_eq!(chosen.len(), 2, "both are chosen for something");
    assert_eq!(switch.status()["policy"]["generation"], generation);
    let told = explain("/beta/x", &[]);
    assert_eq!(told["passed_over"][0]["route"], "beta");
    assert_eq!(
        told["passed_over"][0]["condition"],
        "header x-beta = \"on\""
    );
    let told = explain("/beta/x", &["-H", "X-Beta: on"]);
    assert_eq!(told["outcome"], "answered here: 418");
    let name = format!("app/{}", one.address);
    run(&[
        "backend", "drain", &name, "--why", "deploy", "--admin", &admin,
    ]);
    let told = explain("/key/0", &[]);
    assert_eq!(told["pool"]["chosen"], two.address.to_string());
    assert_eq!(
        told["pool"]["backends"][0]["why"],
        "taken out by hand: deploy"
    );
    let file = switch.file();
    let file = file.to_str().expect("a path in UTF-8");
    let words = ["explain", "GET", "http://localhost/key/0", "--policy", file];
    let (code, out, err) = run(&words);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("route all: it takes everything"), "{out}");
    assert_eq!(run(&["explain", "GET", "/key", "--policy", file]).0, 1);
}
