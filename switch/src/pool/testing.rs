//! Members for tests.

use std::sync::Arc;

use super::Member;
use crate::endpoint::{Address, Duty, Endpoint, Health, WHOLE};

/// A member whose endpoint has this id.
pub(crate) fn member(id: u32, health: Health, weight: u32) -> Member {
    let address = Address::Tcp(([127, 0, 0, 1], id as u16).into());
    Member {
        endpoint: Arc::new(Endpoint::new(id, "app".into(), id.to_string(), address)),
        weight,
        priority: 0,
        capacity: None,
        health,
        ejected: false,
        refuses: false,
        share: WHOLE,
        duty: Duty::Active,
    }
}
