//! Contacts: what is read from one table and several, what switches must have in common, and what
//! must not be shown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use pointsman_config::policy::{Contact, Policy};
use pointsman_config::report::Report;

const REST: &str = "[listener.web]\nbind = \":80\"\n[[route]]\nmatch = { path = \"/a/*\" }\n\
                    pool = \"p\"\n[[route]]\npool = \"p\"\n[pool.p]\nbackends = [\"a:1\"]\n";

const CONTACT: &str = "address = [\"192.0.2.10/24\", \"192.0.2.11/24\"]\ninterface = \"eth0\"\n\
                       group = 51\n";

fn read(contacts: &str) -> Result<Policy, Report> {
    Policy::from_toml(&format!("{REST}{contacts}"), Path::new("policy.toml"))
}

fn contacts(text: &str) -> Vec<Contact> {
    read(text)
        .unwrap_or_else(|report| panic!("{report}"))
        .contacts
}

fn shared(text: &str) -> String {
    let policy = Policy::from_toml(text, Path::new("policy.toml"));
    policy
        .unwrap_or_else(|report| panic!("{report}"))
        .shared_digest
}

fn codes(text: &str) -> Vec<&'static str> {
    let report = read(text).expect_err("a refused policy");
    report.problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn one_table_means_the_same_as_an_array_of_one() {
    let one = read(&format!("[contact]\n{CONTACT}")).unwrap();
    let list = read(&format!("[[contact]]\n{CONTACT}")).unwrap();
    assert_eq!(one.contacts.len(), 1);
    assert_eq!(one.contacts, list.contacts);
    assert_eq!(one.shared_digest, list.shared_digest);
}

#[test]
fn contacts_of_included_files_join_in_either_form() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let contact = |table: &str, number: usize| {
        format!(
            "{table}\naddress = \"192.0.2.{number}/24\"\ninterface = \"eth0\"\ngroup = {number}\n"
        )
    };
    let [table, list] = ["[contact]", "[[contact]]"];
    for (main, first, second) in [
        (table, table, list),
        (list, table, table),
        (table, list, table),
        (list, list, list),
    ] {
        let include = "include = [\"a.toml\", \"b.toml\"]\n";
        write("main.toml", &format!("{include}{REST}{}", contact(main, 1)));
        write("a.toml", &contact(first, 2));
        write("b.toml", &contact(second, 3));
        let policy = Policy::from_path(&folder.path().join("main.toml")).unwrap();
        let groups: Vec<_> = policy
            .contacts
            .iter()
            .map(|contact| contact.group)
            .collect();
        assert_eq!(groups, [1, 2, 3]);
    }
}

#[test]
fn a_link_local_address_heads_those_of_ipv6() {
    let addresses = |list: &str| -> Vec<String> {
        let text = format!("[contact]\naddress = {list}\ninterface = \"eth0\"\ngroup = 255\n");
        let contacts = contacts(&text);
        contacts[0]
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let made = "fe80::200:5eff:fe00:2ff/64";
    assert_eq!(addresses("\"192.0.2.1/24\""), ["192.0.2.1/24"]);
    assert_eq!(
        addresses("[\"2001:db8::2/64\", \"192.0.2.1/24\", \"fe80::1/64\"]"),
        ["192.0.2.1/24", made, "2001:db8::2/64", "fe80::1/64"]
    );
    assert_eq!(
        addresses("[\"fe80::1/64\", \"2001:db8::2/64\"]"),
        ["fe80::1/64", "2001:db8::2/64"]
    );
    assert_eq!(
        addresses(&format!("[\"2001:db8::2/64\", \"{made}\"]")),
        [made, "2001:db8::2/64"]
    );
}

#[test]
fn an_interface_is_inherited_only_with_its_kind_of_announcement() {
    let interface = |defaults: &str, own: &str| {
        let text = format!(
            "[defaults.contact]\n{defaults}\n[contact]\naddress = \"192.0.2.1/32\"\n{own}\n"
        );
        read(&text).map(|policy| policy.contacts[0].interface.clone())
    };
    let bgp = "announce = \"bgp\"";
    assert_eq!(
        interface("interface = \"eth0\"", "group = 1").unwrap(),
        "eth0"
    );
    assert_eq!(
        interface("interface = \"eth0\"", bgp).unwrap(),
        "pointsman0"
    );
    let defaults = "announce = \"bgp\"\ninterface = \"anycast0\"";
    assert_eq!(interface(defaults, "").unwrap(), "anycast0");
    assert_eq!(interface(defaults, bgp).unwrap(), "anycast0");
    let report = interface(defaults, "announce = \"vrrp\"\ngroup = 1").unwrap_err();
    assert!(report.to_string().contains("[contact] needs `interface`"));
}

#[test]
fn inherited_keys_of_an_election_are_passed_over_where_there_is_none() {
    let text = "[defaults.contact]\npriority = 7\npreempt = false\n[contact]\n\
                announce = \"bgp\"\naddress = \"192.0.2.1/32\"\n";
    assert_eq!(contacts(text)[0].group, 0);
    let own = text.replace("announce", "checksum = \"auto\"\nannounce");
    assert_eq!(codes(&own), ["conflicting-keys"]);
}

#[test]
fn contacts_and_groups_are_limited() {
    let contact = |number: usize, v6: &str| {
        format!(
            "[[contact]]\naddress = [\"192.0.2.{number}/24\"{v6}]\ninterface = \"eth0\"\n\
             group = {number}\n"
        )
    };
    let of_ipv4 = |count| {
        (1..=count)
            .map(|number| contact(number, ""))
            .collect::<String>()
    };
    assert_eq!(contacts(&of_ipv4(64)).len(), 64);
    assert_eq!(codes(&of_ipv4(65)), ["out-of-range"]);
    let both = |count| -> String {
        let v6 = |number| format!(", \"2001:db8::{number}/64\"");
        (1..=count)
            .map(|number| contact(number, &v6(number)))
            .collect()
    };
    assert_eq!(contacts(&both(32)).len(), 32);
    assert_eq!(codes(&both(33)), ["out-of-range"]);
}

#[test]
fn a_link_local_address_may_be_on_two_links_and_a_group_on_one_alone() {
    let text = "[[contact]]\naddress = \"fe80::1/64\"\ninterface = \"eth0\"\ngroup = 1\n";
    let other = text.replace("eth0", "eth1");
    assert_eq!(codes(&format!("{text}{other}")), ["duplicate-group"]);
    let other = other.replace("group = 1", "group = 2");
    assert_eq!(contacts(&format!("{text}{other}")).len(), 2);
    let codes = codes(&format!("{text}{text}"));
    assert_eq!(codes, ["duplicate-address", "duplicate-group"]);
}

#[test]
fn the_shared_digest_does_not_change_with_what_each_switch_has_for_itself() {
    let first = shared(&format!("{REST}[contact]\n{CONTACT}"));
    let own = "[process]\nworkers = 3\n[admin]\nlisten = \":9900\"\n[access_log]\n\
               path = \"stdout\"\n[defaults.contact]\npriority = 7\npeers = [\"10.0.0.1\"]\n\
               secret = \"sixteen bytes at least\"\n";
    let more = "source = \"10.0.0.2\"\nmisses = 4\n";
    assert_eq!(
        shared(&format!("{REST}{own}[contact]\n{CONTACT}{more}")),
        first
    );
}

#[test]
fn the_shared_digest_does_not_change_with_order_and_form() {
    let first = shared(&format!(
        "{REST}[[contact]]\n{CONTACT}[[contact]]\naddress = \"2001:db8::1/64\"\n\
         interface = \"eth0\"\ngroup = 52\n"
    ));
    let other = "# The same.\n\
        contact = [{ group = 0x34, interface = \"eth1\", address = \"2001:DB8:0::1/64\" },\n\
        { group = 51, interface = \"eth0\", address = [\"192.0.2.11/24\", \"192.0.2.10/24\"] }]\n\
        route = [{ pool = 'p' }, { pool = \"p\", match.path = \"${NO_SUCH_VARIABLE:-/a/*}\" }]\n\
        pool.p.backends = [ 'a:1', ]\nlistener.web.bind = \":80\"\n";
    assert_eq!(shared(other), first);
}

#[test]
fn the_shared_digest_changes_with_everything_else() {
    let text = format!("{REST}[contact]\n{CONTACT}");
    let first = shared(&text);
    for (from, to) in [
        ("group = 51", "group = 52"),
        ("192.0.2.11/24", "192.0.2.11/25"),
        (
            "[\"192.0.2.10/24\", \"192.0.2.11/24\"]",
            "\"192.0.2.10/24\"",
        ),
        ("/a/*", "/b/*"),
        ("\":80\"", "\":81\""),
        ("[\"a:1\"]", "[\"a:1\", \"b:1\"]"),
        (
            "[pool.p]",
            "[defaults.pool]\nbalance = \"random\"\n[pool.p]",
        ),
        ("interface = \"eth0\"\ngroup = 51", "announce = \"bgp\""),
    ] {
        assert!(text.contains(from), "{from}");
        assert_ne!(shared(&text.replace(from, to)), first, "{to}");
    }
    let backends = text.replace("[\"a:1\"]", "[\"a:1\", \"b:1\"]");
    let turned = text.replace("[\"a:1\"]", "[\"b:1\", \"a:1\"]");
    assert_ne!(shared(&backends), shared(&turned));
}

#[test]
fn what_a_secret_file_holds_is_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("short", "tooshort\n");
    write("long", "a-long-and-hidden-text\n");
    write("other", "another-hidden-text-of-it\n");
    write("number", "20041973\n");
    let read = |lines: &str| {
        let contact = format!("[[contact]]\n{CONTACT}{lines}");
        write("main.toml", &format!("{REST}{contact}"));
        Policy::from_path(&folder.path().join("main.toml"))
    };
    let second = "[[contact]]\naddress = \"192.0.2.20/24\"\ninterface = \"eth0\"\ngroup = 52\n";
    let shown = [
        read("secret = \"${file:short}\""),
        read("secret = \"${file:long}\""),
        read(&format!(
            "secret = \"${{file:long}}\"\n{second}secret = \"${{file:other}}\""
        )),
        read("port = \"${file:number}\""),
        read("announce = \"${file:long}\""),
        read("peers = [\"${file:long}\"]"),
    ]
    .map(|answer| {
        let report = match &answer {
            Ok(policy) => &policy.warnings,
            Err(report) => report,
        };
        assert_eq!(report.problems.len().min(1), 1);
        let (text, json) = (report.render_text(true), report.render_json());
        format!("{answer:#?}{text}{json}{}", report.render_github())
    })
    .concat();
    for hidden in ["tooshort", "hidden-text", "20041973"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn a_policy_with_warnings_does_not_show_its_source_to_debug() {
    let policy = read(&format!(
        "[contact]\n{CONTACT}secret = \"written-in-the-policy\"\n"
    ));
    let policy = policy.unwrap();
    assert!(!policy.warnings.is_empty());
    assert!(!format!("{policy:?}").contains("written-in-the-policy"));
}
