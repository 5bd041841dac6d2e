//! A traced request in words.

use std::fmt::Write as _;

use super::Traced;
use crate::control::explain::Explained;
use crate::trace::Step;

/// The steps, one line each.
pub(super) fn text(traced: &Traced) -> String {
    let Traced {
        told,
        why,
        client_saw,
    } = traced;
    let mut out = String::new();
    let width = told.steps.iter().filter_map(|step| step.backend.as_deref());
    let width = width.map(|name| name.chars().count()).max().unwrap_or(0);
    // To a text, writing does not fail.
    let _ = writeln!(
        out,
        "{}, {}, from {}",
        told.request, told.protocol, told.client
    );
    for step in &told.steps {
        let backend = match &step.backend {
            Some(name) => format!("{name:width$}  "),
            None => String::new(),
        };
        let reasons = reasons(step, why.as_ref());
        let (first, rest) = reasons.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
        let ms = step.at * 1e3;
        let _ = writeln!(
            out,
            "{ms:>10.2} ms  {:9}  {backend}{}{first}",
            step.step, step.text
        );
        for more in rest {
            let _ = writeln!(out, "{:26}{more}", "");
        }
    }
    if let Some(seen) = client_saw {
        let cut = if seen.is_cut { ", cut off" } else { "" };
        let [connected, head, end] = [seen.connected, seen.head, seen.end].map(|time| time * 1e3);
        let _ = writeln!(
            out,
            "the client got status {} and {} bytes{cut} from {}: connected after {connected:.2} ms, \
             head after {head:.2} ms, all after {end:.2} ms",
            seen.status, seen.bytes, seen.address,
        );
    }
    if let Some(id) = &told.trace_id {
        let _ = writeln!(out, "trace {id}");
    }
    out
}

/// Why a route took it, and which did not; how the pool chooses.
fn reasons(step: &Step, why: Option<&Explained>) -> Vec<String> {
    let Some(why) = why else { return Vec::new() };
    match (step.step.as_str(), &why.route, &why.pool) {
        ("route", Some(route), _) if route.name == step.text => {
            let holds = match route.conditions.as_slice() {
                [] => ": it takes everything".to_owned(),
                conditions => format!(": {} hold", conditions.join(", ")),
            };
            let others = why
                .passed_over
                .iter()
                .map(|other| format!("not {}: {} does not hold", other.route, other.condition));
            std::iter::once(holds).chain(others).collect()
        }
        ("pool", _, Some(pool)) if pool.name == step.text => {
            let mut all = vec![format!(": {}", pool.balance)];
            all.extend(
                [&pool.hash, &pool.sticky, &pool.panic]
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
            all
        }
        _ => Vec::new(),
    }
}
