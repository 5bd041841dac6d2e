//! What comes of a change: which sockets open and close, which backends begin or finish, what has
//! to wait for another start.

use pointsman_config::outline::{Change, How, Setting};

use crate::control::status::{BackendStatus, Status};

/// Keys that take effect at the next start or upgrade.
const AT_THE_NEXT_START: [(&str, &str); 3] = [
    ("admin", "listen"),
    ("process", "workers"),
    ("access_log", ""),
];

/// In words, one line each.
pub fn of(change: &Change, live: Option<&Status>) -> Vec<String> {
    let mut effects = match (change.kind.as_str(), change.change) {
        ("listener", How::Added) => opens(change),
        ("listener", How::Removed) => closes(change, live),
        ("listener", How::Changed) => moves(change),
        ("route", How::Removed) => {
            vec!["requests under way are finished; later ones take another route".to_owned()]
        }
        ("pool", How::Removed) => {
            vec![
                "requests under way are finished; tunnels and TCP connections stay open".to_owned(),
            ]
        }
        ("backend", How::Added) => vec!["begins as `starting`: it is checked first".to_owned()],
        ("backend", How::Removed) => finishes(change, live),
        ("backend", How::Changed) => differs(change, live),
        ("contact", How::Added) if live.is_some_and(|live| live.contact.is_none()) => {
            vec!["takes effect at the next start, or with `pointsman upgrade`".to_owned()]
        }
        _ => Vec::new(),
    };
    if waits(change) {
        effects.push("takes effect at the next start, or with `pointsman upgrade`".to_owned());
    }
    effects
}

fn waits(change: &Change) -> bool {
    AT_THE_NEXT_START.iter().any(|(kind, key)| {
        let is_it = |setting: &Setting| key.is_empty() || setting.key == *key;
        change.kind == *kind && change.settings.iter().any(is_it)
    })
}

/// The values of an array of strings, as an outline writes it.
fn values(text: Option<&str>) -> Vec<String> {
    let text = text.unwrap_or("[]");
    serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
}

fn bind(change: &Change) -> (Vec<String>, Vec<String>) {
    let found = change.settings.iter().find(|setting| setting.key == "bind");
    let from = found.and_then(|setting| setting.from.as_deref());
    let to = found.and_then(|setting| setting.to.as_deref());
    (values(from), values(to))
}

fn opens(change: &Change) -> Vec<String> {
    let (_, opened) = bind(change);
    vec![format!("opens {}", opened.join(", "))]
}

fn closes(change: &Change, live: Option<&Status>) -> Vec<String> {
    let (closed, _) = bind(change);
    let mut listeners = live.iter().flat_map(|live| &live.listeners);
    let open = listeners.find(|listener| listener.name == change.name);
    let open = open.map_or(String::new(), |listener| {
        format!(" ({} open now)", listener.connections)
    });
    vec![
        format!("closes {}", closed.join(", ")),
        format!("its connections drain: each ends after its next answer{open}"),
    ]
}

fn moves(change: &Change) -> Vec<String> {
    let (from, to) = bind(change);
    let without = |some: &[String], others: &[String]| -> Vec<String> {
        let left = some.iter().filter(|one| !others.contains(one));
        left.cloned().collect()
    };
    let (opened, closed) = (without(&to, &from), without(&from, &to));
    let kept: Vec<_> = to
        .iter()
        .filter(|one| from.contains(one))
        .cloned()
        .collect();
    let tell = |what: &str, places: &[String]| match places {
        [] => None,
        places => Some(format!("{what} {}", places.join(", "))),
    };
    let told = [
        tell("opens", &opened),
        tell("closes", &closed),
        tell("keeps", &kept),
    ];
    let mut effects: Vec<String> = told.into_iter().flatten().collect();
    effects.push("open connections go on".to_owned());
    effects
}

fn backend<'l>(change: &Change, live: Option<&'l Status>) -> Option<Vec<&'l BackendStatus>> {
    let (pool, name) = change.name.split_once('/')?;
    let pool = live?.pools.iter().find(|one| one.name == pool)?;
    let is_it = |one: &&BackendStatus| {
        one.name == name
            || one
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(" ("))
    };
    Some(pool.backends.iter().filter(is_it).collect())
}

fn finishes(change: &Change, live: Option<&Status>) -> Vec<String> {
    let under_way = backend(change, live).map_or(String::new(), |own| {
        let sum: u32 = own.iter().map(|one| one.in_flight).sum();
        format!(" ({sum} under way now)")
    });
    vec![format!(
        "takes no new requests, and finishes what it has{under_way}"
    )]
}

fn differs(change: &Change, live: Option<&Status>) -> Vec<String> {
    let key = |name: &str| change.settings.iter().find(|setting| setting.key == name);
    if key("addr").is_some() {
        let mut effects = finishes(change, live);
        effects.push("the new address begins as `starting`: it is checked first".to_owned());
        return effects;
    }
    let laid_over = || {
        let (pool, name) = change.name.split_once('/')?;
        let mut entries = live?.overlay.iter();
        let entry = entries
            .find(|entry| entry.pool == pool && entry.backend == name && entry.order == "weight")?;
        entry.weight
    };
    match (key("weight"), laid_over()) {
        (Some(_), Some(weight)) => vec![format!("weight {weight} was set by hand and stays")],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, how: How, settings: &[(&str, Option<&str>, Option<&str>)]) -> Change {
        let setting = |(key, from, to): &(&str, Option<&str>, Option<&str>)| Setting {
            key: (*key).to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        Change {
            kind: kind.to_owned(),
            name: "app/one".to_owned(),
            change: how,
            settings: settings.iter().map(setting).collect(),
        }
    }

    #[test]
    fn a_listener_keeps_the_sockets_that_stay() {
        let bind = ("bind", Some(r#"[":80", ":81"]"#), Some(r#"[":81", ":82"]"#));
        let effects = of(&change("listener", How::Changed, &[bind]), None);
        let expected = [
            "opens :82",
            "closes :80",
            "keeps :81",
            "open connections go on",
        ];
        assert_eq!(effects, expected);
    }

    #[test]
    fn what_takes_another_start_says_so() {
        let workers = [("workers", None, Some("4"))];
        let drain = [("drain", None, Some("\"4s\""))];
        assert_eq!(
            of(&change("process", How::Changed, &workers), None).len(),
            1
        );
        assert_eq!(of(&change("process", How::Changed, &drain), None).len(), 0);
        let path = [("path", None, Some("\"x\""))];
        assert_eq!(of(&change("access_log", How::Added, &path), None).len(), 1);
    }
}
