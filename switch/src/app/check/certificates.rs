//! What is amiss with certificates: those that this machine cannot use, that are over or soon will be,
//! and hosts of routes that none is for.

use std::time::{SystemTime, UNIX_EPOCH};

use pointsman_config::policy::{HostPattern, Listener, Policy, Route};

use crate::app::plane::Slot;
use crate::control::Listeners as _;
use crate::shared::tickets::TicketKeys;
use crate::snapshot::{Certificate, Certificates};

const DAY: i64 = 24 * 3600;
/// Certificates of less than that are warned of. Those that live for 90 days are renewed with 30 left.
const SOON: i64 = 14 * DAY;

/// In words for the operator. The policy is right all the same: where it is checked, its certificates
/// need not be.
pub(super) fn warnings(policy: &Policy) -> Vec<String> {
    let (tickets, now) = (TicketKeys::new(), now());
    let mut warnings = Vec::new();
    for listener in &policy.listeners {
        let Some(tls) = &listener.tls else { continue };
        match Slot::tls(tls, &tickets) {
            Err(error) => warnings.push(format!("this machine could not run it: {error}")),
            Ok(terminator) => {
                let certificates = &terminator.certificates;
                let all = certificates.all().iter();
                warnings.extend(all.filter_map(|one| validity(one, now)));
                let routes = policy.routes.iter();
                warnings.extend(routes.flat_map(|route| unnamed(route, listener, certificates)));
            }
        }
    }
    warnings.dedup();
    warnings
}

fn validity(certificate: &Certificate, now: i64) -> Option<String> {
    let left = certificate.not_after - now;
    let (file, days) = (certificate.file.display(), left.abs() / DAY);
    if left < 0 {
        return Some(format!(
            "{file}: the certificate has been over for {days} days: clients refuse it; have it renewed"
        ));
    }
    (left < SOON)
        .then(|| format!("{file}: the certificate is over in {days} days; have it renewed"))
}

fn unnamed(route: &Route, listener: &Listener, certificates: &Certificates) -> Vec<String> {
    let listeners = &route.matches.listeners;
    if !listeners.is_empty() && !listeners.contains(&listener.name) {
        return Vec::new();
    }
    let hosts = route.matches.hosts.iter().filter_map(|host| {
        let (shown, tried) = match host {
            HostPattern::Exact(host) => (host.clone(), host.clone()),
            HostPattern::Wildcard(host) => (format!("*.{host}"), format!("any.{host}")),
        };
        (!certificates.has(&tried)).then_some(shown)
    });
    let told = |host| {
        format!(
            "the listener `{}` has no certificate for {host}, which the route `{}` is for: browsers \
             refuse it; add one to `tls`",
            listener.name, route.name
        )
    };
    hosts.map(told).collect()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
