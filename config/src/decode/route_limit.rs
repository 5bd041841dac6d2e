use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::policy::{LimitBy, RouteLimit};
use crate::source::Value;
use crate::value::parse_field_name;

/// Decodes `limit` of a route; `None` where there is none.
pub(super) fn limit(route: &Reader<'_>, d: &mut Diagnostics) -> Option<RouteLimit> {
    let found = route.find("limit")?;
    if found.node.value == Value::Boolean(false) {
        return None;
    }
    let section = found.key.kind.sections().into_iter().next()?;
    let reader = route.table(d, "limit", section)?;
    reader.require(d, "rate");
    let (rate, burst) = (reader.rate(d, "rate"), reader.count(d, "burst"));
    let by = by(&reader, d);
    let rate = rate?;
    Some(RouteLimit {
        burst: burst.unwrap_or(rate.count),
        rate,
        by,
    })
}

fn by(reader: &Reader<'_>, d: &mut Diagnostics) -> LimitBy {
    let Some(found) = reader.find("by") else {
        return LimitBy::ClientIp;
    };
    if let Value::String(_) = &found.node.value {
        return match scalar::word(d, found.key, found.node) {
            Some("route") => LimitBy::Route,
            _ => LimitBy::ClientIp,
        };
    }
    let section = found.key.kind.sections().into_iter().next();
    // One way of telling apart replaces another: tables are not merged here.
    let (Some(section), Value::Table(table)) = (section, &found.node.value) else {
        scalar::wrong_type::<()>(d, found.key, &found.key.kind, found.node);
        return LimitBy::ClientIp;
    };
    let title = format!("`by` of {}", reader.title());
    let reader = Reader::new(d, section, title, found.key_place, table);
    reader.require(d, "header");
    let header = reader.text(d, "header", parse_field_name);
    header.map_or(LimitBy::ClientIp, LimitBy::Header)
}
