//! Orders about single backends.

use hyper::{StatusCode, Uri};

use super::content::Answer;
use super::query;
use super::site::{json, text};
use crate::control::orders::{BackendOrder, Refusal};
use crate::control::overlay::{MAX_TIME, Order};
use crate::control::reconcile::Desk;

/// The words of the paths, in the order of their listing.
pub(super) const PATHS: [&str; 4] = [
    "/backend/drain",
    "/backend/disable",
    "/backend/enable",
    "/backend/weight",
];

/// Hands an order to the reconciler and tells what became of it.
pub(super) async fn answer(desk: &Desk, uri: &Uri) -> Answer {
    let order = match order(uri.path(), uri.query().unwrap_or("")) {
        Ok(order) => order,
        Err(why) => return text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    };
    match desk.order(order).await {
        Some(Ok(done)) => json(serde_json::to_string_pretty(&done)),
        Some(Err(Refusal::Unknown(why))) => text(StatusCode::NOT_FOUND, why + "\n"),
        Some(Err(Refusal::Unsafe(why) | Refusal::Full(why))) => {
            text(StatusCode::CONFLICT, why + "\n")
        }
        None => text(StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned()),
    }
}

const BAD_ORDER: &str = "write /backend/drain?pool=app&backend=NAME&for=10m&why=deploy&force=yes; \
                         /backend/weight has &weight=0..1000, /backend/enable no time";

/// What a path and its query ask for.
fn order(path: &str, query: &str) -> Result<BackendOrder, String> {
    let bad = || BAD_ORDER.to_owned();
    let (mut pool, mut backend, mut why) = (None, None, None);
    let (mut time, mut weight, mut force) = (None, None, false);
    for (name, value) in query::pairs(query).ok_or_else(bad)? {
        let first = match name.as_str() {
            "pool" => pool.replace(value).is_none(),
            "backend" => backend.replace(value).is_none(),
            "why" => why.replace(value).is_none(),
            "for" => time.replace(duration(&value)?).is_none(),
            "weight" => weight.replace(value).is_none(),
            "force" if value == "yes" || value == "no" => {
                force = value == "yes";
                true
            }
            _ => false,
        };
        if !first {
            return Err(bad());
        }
    }
    let order = match (path, &weight) {
        ("/backend/drain", None) => Order::Drain,
        ("/backend/disable", None) => Order::Disable,
        ("/backend/enable", None) if time.is_none() && !force => Order::Enable,
        ("/backend/weight", Some(weight)) => {
            let weight = weight.parse::<u32>().ok().filter(|weight| *weight <= 1000);
            Order::Weight(weight.ok_or("a weight is a number from 0 to 1000")?)
        }
        _ => return Err(bad()),
    };
    Ok(BackendOrder {
        pool: pool.ok_or_else(bad)?,
        backend: backend.ok_or_else(bad)?,
        order,
        why: why.unwrap_or_default(),
        time,
        force,
    })
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    let time = pointsman_config::value::parse_duration(text).map_err(|unfit| unfit.message)?;
    match time.is_zero() || time > MAX_TIME {
        true => Err("a time is more than nothing and 31 days at most".to_owned()),
        false => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_order_is_read_whole_or_not_at_all() {
        let read = order("/backend/drain", "pool=app&backend=a%2Fb&for=10m&why=x%20y");
        let read = read.expect("it makes sense");
        assert_eq!((read.pool.as_str(), read.backend.as_str()), ("app", "a/b"));
        assert_eq!((read.order, read.force), (Order::Drain, false));
        assert_eq!(read.time, Some(Duration::from_secs(600)));
        assert_eq!(read.why, "x y");
        let weight = order("/backend/weight", "pool=app&backend=a&weight=0&force=yes");
        let weight = weight.expect("it makes sense");
        assert_eq!((weight.order, weight.force), (Order::Weight(0), true));
        let bad = [
            ("/backend/drain", ""),
            ("/backend/drain", "pool=app"),
            ("/backend/drain", "pool=app&backend=a&weight=1"),
            ("/backend/drain", "pool=app&backend=a&backend=b"),
            ("/backend/drain", "pool=app&backend=a&for=10"),
            ("/backend/drain", "pool=app&backend=a&for=0s"),
            ("/backend/drain", "pool=app&backend=a&for=99d"),
            ("/backend/drain", "pool=app&backend=a&force=1"),
            ("/backend/drain", "pool=app&backend=a&moon=full"),
            ("/backend/enable", "pool=app&backend=a&for=1m"),
            ("/backend/weight", "pool=app&backend=a"),
            ("/backend/weight", "pool=app&backend=a&weight=1001"),
            ("/backend/weight", "pool=app&backend=a&weight=-1"),
            ("/backend/fly", "pool=app&backend=a"),
        ];
        for (path, query) in bad {
            assert!(order(path, query).is_err(), "{path}?{query}");
        }
    }
}
