//! Names become dense ids that last for the life of the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Stands for "no route" and "no pool".
pub(super) const NONE: u32 = u32::MAX;

/// The label of [`NONE`].
pub(super) const NONE_WORD: &str = "_none";

/// Gives out ids from 0 on, in order of first sight.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ids: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    /// The name's id.
    pub(super) fn id(&self, name: &str) -> u32 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = inner.ids.get(name) {
            return *id;
        }
        let id = u32::try_from(inner.names.len()).unwrap_or(NONE);
        inner.ids.insert(name.to_owned(), id);
        inner.names.push(name.to_owned());
        id
    }

    /// Every name, by id.
    pub(super) fn all(&self) -> Known {
        Known(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .names
                .clone(),
        )
    }
}

/// The names that were known at one moment.
#[derive(Debug)]
pub(super) struct Known(Vec<String>);

impl Known {
    /// The name of an id.
    pub(super) fn get(&self, id: u32) -> &str {
        self.0.get(id as usize).map_or(NONE_WORD, String::as_str)
    }
}
