use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::keys::{Key, Section};
use crate::policy::{Check, ScriptStep};
use crate::source::{Node, Value};
use crate::value::parse_bytes;

/// Steps of a conversation at most.
const MOST: usize = 100;

/// Decodes `send` and `expect`, or `steps`, of a check.
pub(super) fn script(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<Check> {
    let pair = ScriptStep {
        send: reader.text(d, "send", parse_bytes).unwrap_or_default(),
        expect: reader.text(d, "expect", parse_bytes).unwrap_or_default(),
    };
    let steps = steps(reader, d);
    let of_pair = |reader: &Reader<'_>| {
        let mut pair = ["send", "expect"].into_iter();
        pair.any(|name| reader.find_own(name).is_some())
    };
    let own_steps = reader.find_own("steps");
    if let Some(found) = own_steps
        && of_pair(reader)
    {
        let message = "`steps` holds the whole conversation, `send` and `expect` too";
        d.error(found.key_place, "conflicting-keys", message)
            .help("make `send` and `expect` the first step");
    }
    let inherited = reader.find("steps").is_some() && !of_pair(reader);
    let script = match own_steps.is_some() || inherited {
        true => steps,
        false => vec![pair],
    };
    Some(Check::Script(script))
}

fn steps(reader: &Reader<'_>, d: &mut Diagnostics) -> Vec<ScriptStep> {
    let Some(found) = reader.find("steps") else {
        return Vec::new();
    };
    let Some(section) = found.key.kind.sections().into_iter().next() else {
        return Vec::new();
    };
    if let Value::Array(items) = &found.node.value
        && !(1..=MOST).contains(&items.len())
    {
        let message = format!("a conversation has 1 to {MOST} steps");
        d.error(found.node.place, "out-of-range", message);
    }
    let step = |d: &mut Diagnostics, key: &Key, node: &Node| step(d, key, section, node);
    let steps = reader.items(d, "steps", step).into_iter();
    steps.take(MOST).map(|(step, _)| step).collect()
}

fn step(
    d: &mut Diagnostics,
    key: &Key,
    section: &'static Section,
    node: &Node,
) -> Option<ScriptStep> {
    let Value::Table(table) = &node.value else {
        return scalar::wrong_type(d, key, &key.kind, node);
    };
    let reader = Reader::new(d, section, "a step".to_owned(), node.place, table);
    let (send, expect) = (reader.find("send"), reader.find("expect"));
    if send.is_none() && expect.is_none() && !reader.may_be_meant("send") {
        d.error(node.place, "missing-key", "a step needs `send` or `expect`")
            .help("for example { send = \"PING\\r\\n\", expect = \"+PONG\" }");
    }
    Some(ScriptStep {
        send: reader.text(d, "send", parse_bytes).unwrap_or_default(),
        expect: reader.text(d, "expect", parse_bytes).unwrap_or_default(),
    })
}
