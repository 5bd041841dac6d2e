//! What a foreign file says, in the words of the policy language.

use std::collections::HashSet;

use pointsman_config::value::{MAX_NAME, parse_backend};

use super::word::{Keys, Word};

/// Listeners, routes, pools and notes at most: what is beyond belongs to nobody's one switch.
const MAX_ITEMS: usize = 10_000;

/// Where something stands in the foreign files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct At {
    /// Its number among the files.
    pub(super) file: usize,
    /// From 1 on.
    pub(super) line: usize,
}

/// Something that was not carried over as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    pub(super) at: At,
    pub(super) text: String,
}

#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) notes: Vec<Note>,
    pub(super) process: Keys,
    pub(super) access_log: Keys,
    pub(super) listeners: Vec<Listener>,
    pub(super) routes: Vec<Route>,
    pub(super) pools: Vec<Pool>,
}

#[derive(Debug, Default)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) binds: Vec<String>,
    pub(super) is_tls: bool,
    pub(super) keys: Keys,
    pub(super) notes: Vec<Note>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Route {
    pub(super) at: At,
    pub(super) matches: Match,
    pub(super) action: Action,
    pub(super) keys: Keys,
    pub(super) notes: Vec<Note>,
}

/// Conditions, as the policy language has them; an empty list is none.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Match {
    pub(super) hosts: Vec<String>,
    pub(super) paths: Vec<String>,
    pub(super) methods: Vec<String>,
    pub(super) clients: Vec<String>,
    pub(super) listeners: Vec<String>,
    /// `header`, `cookie` and `query`.
    pub(super) fields: Keys,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) enum Action {
    #[default]
    None,
    Pool(String),
    Split(Vec<(String, u64)>),
    Redirect {
        to: String,
        status: u64,
    },
    Respond {
        status: u64,
        body: String,
    },
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) servers: Vec<Keys>,
    pub(super) keys: Keys,
    pub(super) notes: Vec<Note>,
}

impl Draft {
    pub(super) fn note(&mut self, at: At, text: impl Into<String>) {
        self.notes.push(Note::new(at, text));
    }

    /// The listener of a bind address, made if there is none.
    pub(super) fn listener(&mut self, bind: &str, name: &str) -> usize {
        let has = |listener: &Listener| listener.binds.iter().any(|one| one == bind);
        self.listeners.iter().position(has).unwrap_or_else(|| {
            let taken = self.listeners.iter().map(|listener| listener.name.as_str());
            let name = unique(name, taken.collect());
            self.listeners.push(Listener {
                name,
                binds: vec![bind.to_owned()],
                ..Listener::default()
            });
            self.listeners.len() - 1
        })
    }

    /// The pool of that name as it came from the foreign file, made if there is none.
    pub(super) fn pool(&mut self, name: &str) -> &mut Pool {
        let name = clean(name);
        let place = self.pools.iter().position(|pool| pool.name == name);
        let place = place.unwrap_or_else(|| {
            self.pools.push(Pool {
                name,
                ..Pool::default()
            });
            self.pools.len() - 1
        });
        &mut self.pools[place]
    }

    pub(super) fn has_pool(&self, name: &str) -> bool {
        let name = clean(name);
        self.pools.iter().any(|pool| pool.name == name)
    }

    /// A pool of one server, named by its address.
    pub(super) fn pool_of(&mut self, address: &str) -> String {
        let name = clean(address.trim_start_matches("unix:"));
        if !self.has_pool(&name) {
            let server = server(address);
            self.pool(&name).servers.push(server);
        }
        name
    }

    pub(super) fn count_notes(&self) -> usize {
        let items = self.listeners.iter().map(|item| item.notes.len());
        let items = items.chain(self.routes.iter().map(|item| item.notes.len()));
        let items = items.chain(self.pools.iter().map(|item| item.notes.len()));
        self.notes.len() + items.sum::<usize>()
    }

    /// Drops what would not be one policy: pools without servers, routes that do nothing or lead there,
    /// more than anybody has.
    pub(super) fn settle(&mut self) {
        for items in [self.routes.len(), self.pools.len(), self.listeners.len()] {
            if items > MAX_ITEMS {
                self.note(At::default(), format!("only {MAX_ITEMS} of {items}"));
            }
        }
        self.routes.truncate(MAX_ITEMS);
        self.pools.truncate(MAX_ITEMS);
        self.listeners.truncate(MAX_ITEMS);
        let (full, empty): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pools)
            .into_iter()
            .partition(|pool| !pool.servers.is_empty() || pool.keys.get(&["discover"]).is_some());
        self.pools = full;
        for pool in empty {
            self.notes.extend(pool.notes);
        }
        let known: HashSet<String> = self.pools.iter().map(|pool| pool.name.clone()).collect();
        for route in &mut self.routes {
            let missing = match &route.action {
                Action::Pool(name) => (!known.contains(name)).then(|| name.clone()),
                Action::Split(parts) => {
                    let mut names = parts.iter().map(|(name, _)| name);
                    names.find(|name| !known.contains(*name)).cloned()
                }
                _ => None,
            };
            if let Some(name) = missing {
                let text = format!("the servers of `{name}` are not known");
                route.notes.push(Note::new(route.at, text));
                route.action = Action::Respond {
                    status: 503,
                    body: String::new(),
                };
            }
        }
        let (done, undone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.routes)
            .into_iter()
            .partition(|route| route.action != Action::None);
        self.routes = done;
        self.notes
            .extend(undone.into_iter().flat_map(|route| route.notes));
        self.drop_doubles();
    }

    /// The first of several routes with the same conditions is the one that a foreign program takes.
    fn drop_doubles(&mut self) {
        let mut kept: Vec<Route> = Vec::new();
        for route in std::mem::take(&mut self.routes) {
            match kept.iter_mut().find(|one| one.matches == route.matches) {
                None => kept.push(route),
                Some(first) if first.action == route.action => {}
                Some(first) => {
                    let text = "the same conditions again: the first one holds";
                    first.notes.push(Note::new(route.at, text));
                }
            }
        }
        self.routes = kept;
    }
}

impl Note {
    pub(super) fn new(at: At, text: impl Into<String>) -> Self {
        Self {
            at,
            text: text.into(),
        }
    }
}

/// A server of a pool.
pub(super) fn server(address: &str) -> Keys {
    let mut keys = Keys::default();
    keys.set(&["addr"], address);
    keys
}

/// A server's address as the policy language writes it, if it is one: `localhost` and what lacks a port
/// are spelled out.
pub(super) fn address(text: &str, port: u16) -> Option<String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(format!("unix:{path}"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) if !host.is_empty() && digits.parse::<u16>().is_ok() => {
            (host, digits.to_owned())
        }
        _ => (text.trim_end_matches(':'), port.to_string()),
    };
    let host = if host == "localhost" {
        "127.0.0.1"
    } else {
        host
    };
    let address = format!("{host}:{port}");
    parse_backend(&address).is_ok().then_some(address)
}

/// A name that the policy language takes.
pub(super) fn clean(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let cleaned = text.chars().map(|c| if allowed(c) { c } else { '-' });
    let cleaned: String = cleaned.take(MAX_NAME - 8).collect();
    let cleaned = cleaned.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    match cleaned.is_empty() {
        true => "pool".to_owned(),
        false => cleaned.to_owned(),
    }
}

fn unique(wanted: &str, taken: HashSet<&str>) -> String {
    let wanted = clean(wanted);
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.clone()).chain(numbered);
    let free = names.find(|name| !taken.contains(name.as_str()));
    free.unwrap_or(wanted)
}

/// The name of a listener by its port.
pub(super) fn listener_name(bind: &str) -> String {
    match bind.rsplit_once(':').map(|(_, port)| port) {
        Some("80") => "http".to_owned(),
        Some("443") => "https".to_owned(),
        Some(port) if port.parse::<u16>().is_ok() => format!("port-{port}"),
        _ => "socket".to_owned(),
    }
}

impl Match {
    /// The value of `match`, if there is a condition.
    pub(super) fn word(&self) -> Option<Word> {
        let mut keys = Keys::default();
        let lists = [
            ("host", &self.hosts),
            ("path", &self.paths),
            ("method", &self.methods),
            ("client", &self.clients),
            ("listener", &self.listeners),
        ];
        for (key, words) in lists {
            if !words.is_empty() {
                keys.set(&[key], Word::few(words.clone()));
            }
        }
        keys.0.extend(self.fields.0.iter().cloned());
        (!keys.is_empty()).then_some(Word::Table(keys))
    }
}
