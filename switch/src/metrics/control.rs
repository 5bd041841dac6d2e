//! What the control plane has told, as figures.

use std::sync::atomic::Ordering::Relaxed;

use super::collect::{Page, one_if};
use super::hub::{Control, Watched};
use super::table::Family;

/// Ejections and panics.
pub(super) fn passive(page: &mut Page, control: &Control) {
    for ((pool, cause), count) in &control.ejections {
        page.put(Family::Ejections, &[pool, cause], *count as f64);
    }
    for (pool, panic) in &control.panics {
        page.put(Family::Panic, &[pool], one_if(*panic));
    }
}

/// The policy in force, its certificates, and what is dropped of events and lines.
pub(super) fn config(page: &mut Page, control: &Control) {
    for (listener, name, not_after) in &control.certificates {
        page.put(
            Family::TlsCertNotAfter,
            &[listener, name],
            *not_after as f64,
        );
    }
    page.put(Family::ConfigReloads, &["success"], control.reloads as f64);
    page.put(
        Family::ConfigReloads,
        &["failure"],
        control.reloads_failed as f64,
    );
    if let Some(success) = control.last_reload {
        page.put(Family::ConfigLastReloadSuccess, &[], one_if(success));
    }
    if let Some(since) = control.in_force_since {
        page.put(Family::ConfigLastReloadTime, &[], since);
    }
    if let Some(digest) = &control.digest {
        page.put(
            Family::ConfigInfo,
            &[digest, env!("CARGO_PKG_VERSION")],
            1.0,
        );
    }
    let watched = [
        (Family::EventsDropped, Watched::EventsDropped),
        (Family::AccessLogDropped, Watched::AccessLogDropped),
    ];
    for (family, what) in watched {
        if let Some(counter) = &control.watched[what as usize] {
            page.put(family, &[], counter.load(Relaxed) as f64);
        }
    }
}
