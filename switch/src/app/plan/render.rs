//! The plan for people.

use std::fmt::Write as _;

use pointsman_config::outline::{How, Setting};

use crate::control::plan::{Plan, Planned};

pub(super) fn plan(plan: &Plan, color: bool) -> String {
    let mut text = String::new();
    for planned in &plan.changes {
        let _ = one(&mut text, planned, color);
    }
    if plan.changes.is_empty() {
        text.push_str("nothing changes\n");
    }
    let unchanged: Vec<String> = plan
        .unchanged
        .iter()
        .map(|(kind, count)| format!("{count} {kind}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if !plan.changes.is_empty() && !unchanged.is_empty() {
        let _ = writeln!(text, "the same: {}", unchanged.join(", "));
    }
    let _ = match plan.from == plan.to {
        true => writeln!(text, "policy {}", plan.to),
        false => writeln!(text, "policy {} -> {}", plan.from, plan.to),
    };
    text
}

fn one(text: &mut String, planned: &Planned, color: bool) -> std::fmt::Result {
    let change = &planned.change;
    let (sign, paint) = match change.change {
        How::Added => ("+", "\x1b[32m"),
        How::Removed => ("-", "\x1b[31m"),
        How::Changed => ("~", "\x1b[33m"),
    };
    let (paint, plain) = if color { (paint, "\x1b[0m") } else { ("", "") };
    let name = format!("{} {}", change.kind, change.name);
    writeln!(text, "{paint}{sign} {}{plain}", name.trim_end())?;
    for setting in change
        .settings
        .iter()
        .filter(|_| change.change != How::Removed)
    {
        writeln!(text, "    {}", line(setting))?;
    }
    for effect in &planned.effects {
        writeln!(text, "    => {effect}")?;
    }
    Ok(())
}

fn line(setting: &Setting) -> String {
    let Setting { key, from, to } = setting;
    match (from, to) {
        (None, Some(to)) => format!("{key} = {to}"),
        (Some(from), None) => format!("{key}: {from} -> nothing"),
        (from, to) => format!(
            "{key}: {} -> {}",
            from.as_deref().unwrap_or("nothing"),
            to.as_deref().unwrap_or("nothing")
        ),
    }
}
