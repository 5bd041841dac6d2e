use super::reader::Reader;
use crate::diagnostics::Diagnostics;
use crate::policy::{Eject, ErrorRatio, Panic};
use crate::source::Value;

/// Decodes `eject` of a pool; `None` where it is turned off.
pub(super) fn eject(pool: &Reader<'_>, d: &mut Diagnostics) -> Option<Eject> {
    let written = pool.find("eject");
    if written.is_some_and(|found| found.node.value == Value::Boolean(false)) {
        return None;
    }
    let reader = pool.settings(d, "eject");
    let eject = Eject {
        errors: reader.count(d, "errors").unwrap_or(1),
        base: reader.duration(d, "for"),
        longest: reader.duration(d, "for_max"),
        most: reader.share(d, "max").unwrap_or_default(),
        ratio: ratio(&reader, d),
    };
    if eject.base > eject.longest {
        refuse_order(&reader, d);
    }
    Some(eject)
}

/// Decodes `panic` and `panic_below` of a pool.
pub(super) fn panic(pool: &Reader<'_>, d: &mut Diagnostics) -> Panic {
    Panic {
        spread: pool.word(d, "panic") != Some("fail"),
        below: pool.share(d, "panic_below").unwrap_or_default(),
    }
}

fn ratio(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<ErrorRatio> {
    let off = reader
        .find("ratio")
        .is_some_and(|found| found.node.value == Value::Boolean(false));
    // What belongs to it is looked at all the same.
    let ratio = ErrorRatio {
        share: match off {
            true => 0.0,
            false => reader.share(d, "ratio").unwrap_or_default(),
        },
        window: reader.duration(d, "window"),
        requests: reader.count(d, "requests").unwrap_or(1),
    };
    (!off).then_some(ratio)
}

fn refuse_order(reader: &Reader<'_>, d: &mut Diagnostics) {
    let place = ["for", "for_max"]
        .into_iter()
        .find_map(|name| reader.find_own(name))
        .map_or(reader.place(), |found| found.node.place);
    d.error(
        place,
        "out-of-range",
        "`for` must not be longer than `for_max`",
    )
    .help("`for_max` is \"5m\" where nothing else is written");
}
