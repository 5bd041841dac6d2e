//! What sources have told last.

use std::collections::HashMap;
use std::time::SystemTime;

use pointsman_config::policy::{Backend, BackendAddr, Discover};
use pointsman_config::value::parse_backend;
use serde::{Deserialize, Serialize};

/// Of one source.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What was found last; `None` until the first time.
    pub backends: Option<Vec<Backend>>,
    /// When that was.
    pub found: Option<SystemTime>,
    /// Why the last try failed, if it did.
    pub error: Option<LookupError>,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// When.
    pub at: SystemTime,
    /// Why.
    pub error: String,
}

/// What all sources have told.
#[derive(Debug, Default)]
pub struct Resolved(HashMap<Discover, Known>);

impl Resolved {
    /// Takes what a source tells; whether the backends changed.
    pub fn learn(&mut self, source: Discover, told: Result<Vec<Backend>, String>) -> bool {
        let now = SystemTime::now();
        let known = self.0.entry(source).or_default();
        match told {
            Ok(backends) => {
                known.error = None;
                known.found = Some(now);
                let before = known.backends.replace(backends);
                before != known.backends
            }
            Err(error) => {
                known.error = Some(LookupError { at: now, error });
                false
            }
        }
    }

    /// What is known of a source.
    pub fn get(&self, source: &Discover) -> Option<&Known> {
        self.0.get(source)
    }

    /// The backends that were found, if any ever were.
    pub fn backends(&self, source: &Discover) -> Option<&[Backend]> {
        self.get(source)?.backends.as_deref()
    }

    /// Forgets all sources but these.
    pub fn retain(&mut self, keep: impl Fn(&Discover) -> bool) {
        self.0.retain(|source, _| keep(source));
    }

    /// Everything that was found, for another process.
    pub fn lists(&self) -> Vec<KnownList> {
        let all = self.0.iter();
        let lists = all.filter_map(|(source, known)| {
            let backends = known.backends.as_ref()?;
            Some(KnownList {
                source: source.to_string(),
                backends: backends.iter().map(KnownBackend::of).collect(),
            })
        });
        lists.collect()
    }
}

/// What a source has told, for another process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownList {
    /// What tells it from others.
    pub source: String,
    /// What was found last.
    pub backends: Vec<KnownBackend>,
}

impl KnownList {
    /// The backends that this version understands.
    pub fn read(self) -> Vec<Backend> {
        let backends = self.backends.into_iter();
        backends.filter_map(KnownBackend::read).collect()
    }
}

/// A backend that was found. Another version may leave out or add fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownBackend {
    /// Its name.
    pub name: String,
    /// Where it listens, as in a policy.
    pub addr: String,
    /// 0 to 1000.
    pub weight: u32,
    /// Its group.
    #[serde(default)]
    pub priority: u8,
}

impl KnownBackend {
    fn of(backend: &Backend) -> Self {
        Self {
            name: backend.name.clone(),
            addr: match &backend.addr {
                BackendAddr::Socket(socket) => socket.to_string(),
                BackendAddr::Name(host, port) => format!("{host}:{port}"),
                BackendAddr::Unix(path) => format!("unix:{}", path.display()),
            },
            weight: backend.weight,
            priority: backend.priority,
        }
    }

    fn read(self) -> Option<Backend> {
        Some(Backend {
            addr: parse_backend(&self.addr).ok()?,
            name: self.name,
            weight: self.weight.min(1000),
            priority: self.priority.min(Backend::BACKUP),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(addresses: &[&str]) -> Vec<Backend> {
        let backend = |text: &&str| Backend {
            name: (*text).to_owned(),
            addr: parse_backend(text).expect("an address"),
            weight: 7,
            priority: 0,
        };
        addresses.iter().map(backend).collect()
    }

    #[test]
    fn a_failure_keeps_what_was_found_and_a_success_clears_the_failure() {
        let (mut resolved, source) = (Resolved::default(), Discover::name("app.test", 80));
        let one = backends(&["10.0.0.1:80"]);
        assert!(!resolved.learn(source.clone(), Err("no answer".into())));
        assert_eq!(resolved.backends(&source), None);
        assert!(resolved.learn(source.clone(), Ok(one.clone())));
        assert!(!resolved.learn(source.clone(), Ok(one.clone())));
        assert!(
            resolved
                .get(&source)
                .is_some_and(|known| known.error.is_none())
        );
        assert!(!resolved.learn(source.clone(), Err("no answer".into())));
        assert_eq!(resolved.backends(&source), Some(&one[..]));
        let error = resolved.get(&source).and_then(|known| known.error.as_ref());
        assert!(error.is_some_and(|last| last.error == "no answer"));
    }

    #[test]
    fn another_process_reads_what_was_found() {
        let mut resolved = Resolved::default();
        let all = backends(&["10.0.0.1:80", "[fd00::1]:80", "app.test:80", "unix:/run/a"]);
        resolved.learn(Discover::name("app.test", 80), Ok(all.clone()));
        let text = serde_json::to_string(&resolved.lists()).expect("written");
        let mut lists: Vec<KnownList> = serde_json::from_str(&text).expect("read");
        assert_eq!(lists[0].source, "dns app.test:80");
        assert_eq!(lists.remove(0).read(), all);
    }
}
