use crate::decode::Decoded;
use crate::diagnostics::Diagnostics;
use crate::policy::Discover;

/// Agents need a place to register at, and a pool to register for.
pub(super) fn check_agents(decoded: &Decoded, d: &mut Diagnostics) {
    let pools = decoded.pools.iter();
    let sources = pools.flat_map(|pool| pool.item.discover.iter().zip(&pool.places.discover));
    let mut by_agents = sources.filter(|(source, _)| matches!(source, Discover::Agents { .. }));
    match (&decoded.agents, by_agents.next()) {
        (None, Some((_, place))) => {
            let message = "agents cannot register: there is no table `[agents]`";
            d.error(*place, "missing-key", message).help(
                "say where they connect: [agents] with listen = \"10.0.0.1:9113\" and secret = \
                 \"${file:/etc/pointsman/agents.secret}\"",
            );
        }
        (Some(agents), None) if decoded.pools.iter().all(|pool| pool.sound) => {
            let message = "no pool takes servers that agents register";
            d.warning(agents.places.table, "no-effect", message)
                .help("write discover = { agents = true } in a pool, or leave [agents] out");
        }
        _ => {}
    }
}
