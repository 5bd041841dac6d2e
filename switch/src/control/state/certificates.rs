//! The certificates in force, for metrics.

use std::collections::BTreeMap;

use crate::snapshot::Frame;

/// Listener, first host and end of each certificate.
pub(super) fn ends(frame: &Frame) -> Vec<(String, String, i64)> {
    let listeners = frame.listeners().iter();
    let terminators = listeners.filter_map(|listener| Some((listener, listener.tls.as_ref()?)));
    let all = terminators.flat_map(|(listener, terminator)| {
        let name = &listener.policy.name;
        let all = terminator.certificates.all().iter();
        all.map(move |one| {
            let host = one.names.first().cloned().unwrap_or_default();
            (name.clone(), host, one.not_after)
        })
    });
    // Two certificates of one host: that which ends first is the one to look after.
    let mut ends = BTreeMap::<(String, String), i64>::new();
    for (listener, host, end) in all {
        let known = ends.entry((listener, host)).or_insert(end);
        *known = end.min(*known);
    }
    let ends = ends.into_iter();
    ends.map(|((listener, host), end)| (listener, host, end))
        .collect()
}
