//! What clients get from an endpoint, counted where it happens. A request that went well costs one
//! load, of a line that the count of requests under way has brought into the cache already.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The errors of one endpoint. Writers: the workers; the reconciler when it ejects.
#[derive(Debug, Default)]
pub struct Errors {
    /// Since the last request that went well.
    row: AtomicU32,
    /// Since the start.
    all: AtomicU64,
}

impl Errors {
    /// A request or connection went well.
    pub fn went_well(&self) {
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
    }

    /// One failed; how many have now failed in a row.
    pub fn failed(&self) -> u32 {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.row.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// How many failed in a row.
    pub fn row(&self) -> u32 {
        self.row.load(Ordering::Relaxed)
    }

    /// For the reconciler alone: as if so many had failed in a row.
    pub fn set_row(&self, row: u32) {
        self.row.store(row, Ordering::Relaxed);
    }

    /// How many failed since the start.
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_with_the_first_request_that_goes_well() {
        let errors = Errors::default();
        assert_eq!([(); 3].map(|()| errors.failed()), [1, 2, 3]);
        errors.went_well();
        assert_eq!((errors.row(), errors.all()), (0, 3));
        assert_eq!(errors.failed(), 1);
    }
}
