//! `pointsman status`

use std::fmt::Write as _;

use super::{Exit, client, contact, output};
use crate::args;
use crate::control::agents::status::AgentStatus;
use crate::control::direct::board::DirectStatus;
use crate::control::status::{BackendStatus, OverlayStatus, RouteStatus, SourceStatus, Status};

pub(super) fn run(args: args::Status) -> Exit {
    let body = match ask(&args.target) {
        Ok(body) => body,
        Err(exit) => return exit,
    };
    if args.json {
        return output::print(&body);
    }
    match read(&body) {
        Ok(status) => output::print(&render(&status, output::color_out())),
        Err(exit) => exit,
    }
}

/// The status of the switch that is meant, as it was sent.
///
/// # Errors
/// The exit code; the reason has been told.
pub(super) fn ask(target: &args::Target) -> Result<String, Exit> {
    let answer = client::ask(target, "GET", "/status")?;
    if answer.status != 200 {
        output::error(&format!("{}: {}", answer.status, answer.body));
        return Err(Exit::Failed);
    }
    Ok(answer.body)
}

/// Reads what [`ask`] has got.
///
/// # Errors
/// The exit code; the reason has been told.
pub(super) fn read(body: &str) -> Result<Status, Exit> {
    serde_json::from_str(body).map_err(|error| {
        output::error(&format!("this switch is of another version: {error}"));
        Exit::Failed
    })
}

fn render(status: &Status, color: bool) -> String {
    let mut text = String::new();
    let _ = head(&mut text, status);
    if let Some(status) = &status.contact {
        text += &contact::render::brief(status, color);
    }
    for listener in &status.listeners {
        let tls = if listener.tls { " tls" } else { "" };
        let _ = writeln!(
            text,
            "listener {}  {}{tls}  {}  {} connections",
            listener.name,
            listener.protocol,
            listener.addresses.join(" "),
            listener.connections
        );
    }
    for route in &status.routes {
        let _ = writeln!(
            text,
            "route {}  -> {}  {} requests, {} errors, {} under way",
            route.name,
            target(route),
            route.requests,
            route.errors,
            route.in_flight
        );
    }
    for source in &status.sources {
        let _ = source_line(&mut text, source);
    }
    for agent in &status.agents {
        let _ = agent_line(&mut text, agent);
    }
    pools(&mut text, status, color);
    if let Some(status) = &status.direct {
        let _ = direct(&mut text, status);
    }
    text
}

fn direct(text: &mut String, status: &DirectStatus) -> std::fmt::Result {
    writeln!(text, "\ndirect return")?;
    for one in &status.interfaces {
        writeln!(text, "  interface {}  {}", one.interface, one.datapath)?;
        for why in &one.passed_over {
            writeln!(text, "    not {why}")?;
        }
    }
    for one in &status.services {
        writeln!(
            text,
            "  service {}  -> {}  {} backends, {} flows, {} packets",
            one.service, one.pool, one.backends, one.flows, one.packets
        )?;
    }
    for one in &status.backends {
        let way = match one.way.as_str() {
            "" => "no way known".to_owned(),
            way => format!("{way} {}", one.mac),
        };
        let name = format!("{}/{}", one.pool, one.backend);
        write!(
            text,
            "  backend {name}  {}  {way}  {} packets",
            one.state, one.packets
        )?;
        if let Some(left) = one.left {
            write!(text, "  {left} flows left")?;
        }
        match &one.trouble {
            Some(why) => writeln!(text, "  {why}")?,
            None => writeln!(text)?,
        }
    }
    for why in &status.troubles {
        writeln!(text, "  TROUBLE: {why}")?;
    }
    Ok(())
}

/// The pools and their backends, and what was laid over them by hand.
pub(super) fn pools(text: &mut String, status: &Status, color: bool) {
    for pool in &status.pools {
        let panic = pool.panic.as_ref();
        let panic = panic.map_or(String::new(), |word| format!("  PANIC: {word}"));
        let _ = writeln!(text, "\npool {}  {}{panic}", pool.name, pool.balance);
        let width = pool
            .backends
            .iter()
            .map(|backend| backend.name.chars().count())
            .max();
        for backend in &pool.backends {
            let _ = line(text, backend, width.unwrap_or(0), color);
        }
    }
    if !status.overlay.is_empty() {
        text.push_str("\nby hand\n");
    }
    for entry in &status.overlay {
        let _ = by_hand(text, entry);
    }
}

fn by_hand(text: &mut String, entry: &OverlayStatus) -> std::fmt::Result {
    let weight = entry.weight.map(|weight| format!(" {weight}"));
    write!(
        text,
        "  {}/{}  {}{}  since {}",
        entry.pool,
        entry.backend,
        entry.order,
        weight.unwrap_or_default(),
        entry.since
    )?;
    if let Some(until) = &entry.until {
        write!(text, "  until {until}")?;
    }
    if !entry.why.is_empty() {
        write!(text, "  ({})", entry.why)?;
    }
    match entry.applies {
        true => writeln!(text, "  {} under way", entry.in_flight),
        false => writeln!(text, "  there is no such backend now"),
    }
}

fn source_line(text: &mut String, source: &SourceStatus) -> std::fmt::Result {
    write!(
        text,
        "source {}  {}  {} backends",
        source.source, source.state, source.backends
    )?;
    match &source.error {
        Some(error) => writeln!(text, "  {error}"),
        None => writeln!(text),
    }
}

fn agent_line(text: &mut String, agent: &AgentStatus) -> std::fmt::Result {
    write!(
        text,
        "agent {}/{}  {}  {}  {}  weight {}",
        agent.pool, agent.name, agent.address, agent.state, agent.mode, agent.weight
    )?;
    if !agent.holds.is_empty() {
        write!(text, "  holds {}", agent.holds.join(" "))?;
    }
    match agent.why.as_str() {
        "" => writeln!(text),
        why => writeln!(text, "  {why}"),
    }
}

/// `app`, `api 95, api-canary 5`, or `-` for what needs no pool.
fn target(route: &RouteStatus) -> String {
    let shares = route.split.iter();
    let shares: Vec<_> = shares
        .map(|share| format!("{} {}", share.pool, share.weight))
        .collect();
    match &route.pool {
        Some(pool) => pool.clone(),
        None if shares.is_empty() => "-".to_owned(),
        None => shares.join(", "),
    }
}

fn head(text: &mut String, status: &Status) -> std::fmt::Result {
    let file = status.policy.file.as_deref().unwrap_or("the command line");
    writeln!(
        text,
        "pointsman {}  {}  pid {}  up {}\npolicy {} from {file}, in force since {}\n\
         {} connections\n",
        status.version,
        status.state,
        status.pid,
        duration(status.uptime),
        status.policy.digest,
        status.policy.since,
        status.connections
    )
}

fn line(text: &mut String, backend: &BackendStatus, width: usize, color: bool) -> std::fmt::Result {
    let paint = match backend.state.as_str() {
        _ if !color => "",
        "up" => "\x1b[32m",
        "down" => "\x1b[31m",
        _ => "\x1b[33m",
    };
    let plain = if paint.is_empty() { "" } else { "\x1b[0m" };
    write!(
        text,
        "  {:width$}  {paint}{:10}{plain}  weight {:4}  {:5} under way  {:9} requests",
        backend.name, backend.state, backend.weight, backend.in_flight, backend.requests
    )?;
    match remark(backend) {
        Some(remark) => writeln!(text, "  {remark}"),
        None => writeln!(text),
    }
}

/// What more there is to say of a backend.
fn remark(backend: &BackendStatus) -> Option<String> {
    if let Some(ejection) = backend
        .ejection
        .as_ref()
        .filter(|_| backend.state == "ejected")
    {
        let (reason, until, times) = (&ejection.reason, &ejection.until, ejection.times);
        return Some(format!("{reason}, until {until}, {times} in a row"));
    }
    if let Some(share) = backend.share {
        return Some(format!("{:.0}% of its weight", share * 100.0));
    }
    backend.last_check.as_ref()?.error.clone()
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [
            (9.9, "9s"),
            (61.0, "1m1s"),
            (7322.0, "2h2m"),
            (90_000.0, "1d1h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected);
        }
    }
}
