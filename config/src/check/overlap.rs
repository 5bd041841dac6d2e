//! Whether two matches can both take a request, and whether one takes all that the other takes;
//! hosts and paths are left to the caller.

use ipnet::IpNet;

use crate::policy::{Match, ValuePattern};

/// Whether some request fulfils the conditions of both. A field or parameter is taken to have one
/// value.
pub(super) fn overlap(one: &Match, other: &Match) -> bool {
    lists_meet(&one.methods, &other.methods, |a, b| a == b)
        && lists_meet(&one.clients, &other.clients, networks_meet)
        && lists_meet(&one.listeners, &other.listeners, |a, b| a == b)
        && patterns_meet(&one.headers, &other.headers)
        && patterns_meet(&one.cookies, &other.cookies)
        && patterns_meet(&one.query, &other.query)
}

/// Whether every request that fulfils the conditions of `narrow` fulfils those of `wide`, the
/// listener aside.
pub(super) fn covers(wide: &Match, narrow: &Match) -> bool {
    list_covers(&wide.methods, &narrow.methods, |a, b| a == b)
        && list_covers(&wide.clients, &narrow.clients, |a, b| a.contains(b))
        && patterns_cover(&wide.headers, &narrow.headers)
        && patterns_cover(&wide.cookies, &narrow.cookies)
        && patterns_cover(&wide.query, &narrow.query)
}

/// An empty list is no condition.
fn lists_meet<T>(one: &[T], other: &[T], meets: impl Fn(&T, &T) -> bool) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|a| other.iter().any(|b| meets(a, b)))
}

fn list_covers<T>(wide: &[T], narrow: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    let covered = |b: &T| wide.iter().any(|a| covers(a, b));
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(covered))
}

fn networks_meet(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

type Patterns = [(String, ValuePattern)];

fn find<'p>(patterns: &'p Patterns, name: &str) -> Option<&'p ValuePattern> {
    patterns
        .iter()
        .find(|(other, _)| other == name)
        .map(|(_, pattern)| pattern)
}

fn patterns_meet(one: &Patterns, other: &Patterns) -> bool {
    one.iter()
        .all(|(name, a)| find(other, name).is_none_or(|b| values_meet(a, b)))
}

fn values_meet(one: &ValuePattern, other: &ValuePattern) -> bool {
    use ValuePattern::{Exact, Prefix, Present};
    match (one, other) {
        (Present, _) | (_, Present) => true,
        (Exact(a), Exact(b)) => a == b,
        (Exact(a), Prefix(b)) | (Prefix(b), Exact(a)) => a.starts_with(b),
        (Prefix(a), Prefix(b)) => a.starts_with(b) || b.starts_with(a),
    }
}

fn patterns_cover(wide: &Patterns, narrow: &Patterns) -> bool {
    wide.iter()
        .all(|(name, a)| find(narrow, name).is_some_and(|b| value_covers(a, b)))
}

fn value_covers(wide: &ValuePattern, narrow: &ValuePattern) -> bool {
    use ValuePattern::{Exact, Prefix, Present};
    match (wide, narrow) {
        (Present, _) => true,
        (Prefix(a), Exact(b) | Prefix(b)) => b.starts_with(a),
        (Exact(a), Exact(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Match {
        let pattern = |text| crate::value::parse_value_pattern(text).unwrap();
        let headers = list
            .iter()
            .map(|(name, text)| (name.to_string(), pattern(text)));
        Match {
            headers: headers.collect(),
            ..Match::default()
        }
    }

    fn methods(list: &[&str]) -> Match {
        Match {
            methods: list.iter().map(|name| name.to_string()).collect(),
            ..Match::default()
        }
    }

    #[test]
    fn different_values_of_one_header_do_not_meet_but_different_headers_do() {
        assert!(!overlap(&headers(&[("a", "1")]), &headers(&[("a", "2")])));
        assert!(!overlap(&headers(&[("a", "x*")]), &headers(&[("a", "y*")])));
        assert!(overlap(&headers(&[("a", "xy*")]), &headers(&[("a", "x*")])));
        assert!(overlap(&headers(&[("a", "1")]), &headers(&[("b", "2")])));
    }

    #[test]
    fn methods_meet_in_a_common_one() {
        assert!(overlap(&methods(&["GET", "PUT"]), &methods(&["PUT"])));
        assert!(!overlap(&methods(&["GET"]), &methods(&["PUT"])));
        assert!(overlap(&methods(&[]), &methods(&["PUT"])));
    }

    #[test]
    fn a_match_covers_what_has_all_its_conditions_and_more() {
        let two = headers(&[("a", "1"), ("b", "2")]);
        assert!(covers(&headers(&[("a", "*")]), &two));
        assert!(!covers(&two, &headers(&[("a", "1")])));
        assert!(covers(&methods(&[]), &methods(&["GET"])));
        assert!(!covers(&methods(&["GET"]), &methods(&[])));
        assert!(!covers(&methods(&["GET"]), &methods(&["GET", "PUT"])));
    }
}
