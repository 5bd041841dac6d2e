//! What a backend tells this switch of its load, in its answer's head.

use super::field::{Field, Known};
use super::head::ResponseHead;
use crate::endpoint::{Endpoint, clock};

/// Takes the report out of the head, which was parsed from these bytes: it is for this switch and
/// not for clients.
pub(super) fn take(head: &mut ResponseHead, bytes: &[u8], endpoint: &Endpoint) {
    let is_report = |field: &Field| field.known == Known::LoadMetrics;
    if let Some(field) = head.fields.iter().find(|field| is_report(field)) {
        endpoint
            .load
            .hear(field.value.in_bytes(bytes), clock::now());
    }
    head.fields
        .retain(|field| !is_report(field) && field.known != Known::LoadMetricsBinary);
}
