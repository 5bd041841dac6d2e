//! Every command of the start page and the how-tos is typed, and says what the page says.

use std::collections::BTreeMap;

use pointsman_deploy::lab::{Host, INTERFACE, Lab};

use crate::pages::{Page, to_type};
use crate::session::{Session, home};
use crate::skip;

/// The host of pages that name none.
const HERE: &str = "here";
/// Those that pages name, and their addresses on the network that they share, by the interface `eth0`.
const HOSTS: [(&str, &str); 5] = [
    (HERE, "192.0.2.5/24"),
    ("first", "192.0.2.11/24"),
    ("second", "192.0.2.12/24"),
    ("server", "192.0.2.21/24"),
    ("client", "192.0.2.30/24"),
];

/// A test for each page.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $test() {
                follow(stringify!($test), &Page::read($page));
            }
        )*

        const FOLLOWED: &[&str] = &[$($page),*];
    };
}

pages! {
    the_start_page_is_as_typed: "docs/start.md",
    web_servers_are_as_typed: "docs/howto/web-servers.md",
    tls_is_as_typed: "docs/howto/tls.md",
    routes_are_as_typed: "docs/howto/routes.md",
    health_is_as_typed: "docs/howto/health.md",
    sticky_cookies_are_as_typed: "docs/howto/sticky.md",
    a_canary_is_as_typed: "docs/howto/canary.md",
    overload_is_as_typed: "docs/howto/overload.md",
    a_drain_is_as_typed: "docs/howto/drain.md",
    two_switches_are_as_typed: "docs/howto/two-switches.md",
    metrics_are_as_typed: "docs/howto/metrics.md",
}

#[test]
fn every_page_with_commands_is_followed() {
    let pages = to_type();
    let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !FOLLOWED.contains(name))
        .collect();
    assert!(
        missing.is_empty(),
        "a line in `pages!` for each of {missing:?}"
    );
}

#[test]
fn what_is_typed_stands_where_a_test_sees_it() {
    for page in to_type() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.name, block.line);
            let known = ["console", "toml", "text"].contains(&block.language.as_str());
            assert!(
                known || block.marks.file.is_some(),
                "{place}: {}",
                block.language
            );
            let typed = block.text.lines().any(|line| line.starts_with("$ "));
            assert_eq!(
                typed,
                block.language == "console",
                "{place}: commands and `console`"
            );
        }
        let mut before = "";
        for (line, text) in page.prose() {
            let code = text.starts_with("    ") && before.is_empty();
            assert!(!code, "{}:{line}: write a block with ```", page.name);
            before = text;
        }
    }
}

/// Follows a page from its beginning to its end, on hosts of its own.
fn follow(test: &str, page: &Page) {
    let needs = page.needs();
    let needs: Vec<&str> = needs
        .iter()
        .map(String::as_str)
        .chain(["bash", "curl"])
        .collect();
    let lab = match Lab::with(&needs) {
        Ok(lab) => lab,
        Err(why) => return why.tell(test),
    };
    let home = home();
    let mut hosts: BTreeMap<String, (Session, Host)> = BTreeMap::new();
    let mut now = HERE.to_owned();
    let mut typed = 0;
    for block in page.blocks() {
        now = block.marks.host.clone().unwrap_or(now);
        if block.language != "console" && block.marks.file.is_none() {
            continue;
        }
        let place = format!("{}:{}", page.name, block.line);
        if let Some(reason) = &block.marks.not_run {
            let first = block.text.lines().next().unwrap_or_default();
            skip(test, &format!("{place}: {first}: {reason}"));
            continue;
        }
        let (session, _) = hosts.entry(now.clone()).or_insert_with(|| {
            let host = host(&lab, &now);
            (Session::begin(&host, &home), host)
        });
        let followed = session.follow(&block);
        followed.unwrap_or_else(|why| panic!("{place}: {why}"));
        typed += 1;
    }
    assert!(typed > 2, "{}: {typed}", page.name);
}

/// With `eth0`, as readers have it.
pub fn host(lab: &Lab, name: &str) -> Host {
    let address = HOSTS.iter().find(|(known, _)| *known == name);
    let (_, address) = address.unwrap_or_else(|| panic!("there is no host {name}: {HOSTS:?}"));
    let host = lab.host(name, address, None);
    host.ip(&format!("link set {INTERFACE} down"));
    host.ip(&format!("link set {INTERFACE} name eth0"));
    host.ip("link set eth0 up");
    host
}
