//! `GET /status`, whole or in part.

use super::query;
use crate::control::status::Status;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pool: Option<String>,
    backend: Option<String>,
}

impl Part {
    /// `None` when it makes no sense.
    pub(super) fn read(query: &str) -> Option<Self> {
        let mut part = Self::default();
        for (name, value) in query::pairs(query)? {
            let first = match name.as_str() {
                "pool" => part.pool.replace(value).is_none(),
                "backend" => part.backend.replace(value).is_none(),
                _ => false,
            };
            if !first {
                return None;
            }
        }
        Some(part)
    }

    /// The same without the pools and backends that were not asked for.
    pub(super) fn of(&self, mut status: Status) -> Status {
        if let Some(name) = &self.pool {
            status.pools.retain(|pool| pool.name == *name);
        }
        if let Some(name) = &self.backend {
            for pool in &mut status.pools {
                pool.backends.retain(|backend| backend.name == *name);
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_whole_or_not_at_all() {
        assert_eq!(Part::read(""), Some(Part::default()));
        let part = Part::read("pool=app&backend=a%2Fb").expect("it makes sense");
        assert_eq!(part.backend.as_deref(), Some("a/b"));
        for query in ["pool", "moon=full", "pool=a&pool=b"] {
            assert_eq!(Part::read(query), None, "{query}");
        }
    }
}
