//! Which of two routes wins: the order in which the router tries them, and by which the checks find
//! routes that are equal or never reached.
//!
//! A route with several hosts or paths stands for every pair of them; each pair is an
//! [`Alternative`] with a rank of its own, its [`Specificity`]. Of all alternatives that match a
//! request the greatest wins. The order follows the Gateway API: host, path, method, headers,
//! query, with cookies, client and listener added. Two alternatives of equal rank that match the
//! same request are refused when a policy is read, so that the file's order never matters.

use ipnet::IpNet;

use crate::policy::{HostPattern, Match, PathPattern, ValuePattern};

/// The pairs of a host and a path that a match stands for.
pub fn alternatives(matches: &Match) -> impl Iterator<Item = Alternative<'_>> {
    let rest = Conditions::of(matches);
    options(&matches.hosts).flat_map(move |host| {
        options(&matches.paths).map(move |path| Alternative {
            host,
            path,
            specificity: Specificity {
                host: HostRank::of(host),
                path: PathRank::of(path),
                conditions: rest,
            },
        })
    })
}

/// One host and one path of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative<'m> {
    /// `None`: every host.
    pub host: Option<&'m HostPattern>,
    /// `None`: every path.
    pub path: Option<&'m PathPattern>,
    /// Its rank.
    pub specificity: Specificity,
}

/// A rank; the greater wins. Compared field by field in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    host: HostRank,
    path: PathRank,
    conditions: Conditions,
}

/// No host, a wildcard by its length, an exact host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum HostRank {
    Any,
    Wildcard(usize),
    Exact,
}

impl HostRank {
    fn of(pattern: Option<&HostPattern>) -> Self {
        match pattern {
            None => Self::Any,
            Some(HostPattern::Wildcard(host)) => Self::Wildcard(host.len()),
            Some(HostPattern::Exact(_)) => Self::Exact,
        }
    }
}

/// No path, a prefix by its length, an exact path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum PathRank {
    Any,
    Prefix(usize),
    Exact,
}

impl PathRank {
    fn of(pattern: Option<&PathPattern>) -> Self {
        match pattern {
            None => Self::Any,
            Some(PathPattern::Prefix(path)) => Self::Prefix(path.len()),
            Some(PathPattern::Exact(_)) => Self::Exact,
        }
    }
}

/// The rank of all conditions but host and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Conditions {
    method: bool,
    headers: Patterns,
    cookies: Patterns,
    query: Patterns,
    /// 0 without a condition, else the length of the broadest network, plus one; IPv4 networks
    /// count as IPv4-mapped ones.
    client: u8,
    listener: bool,
}

impl Conditions {
    fn of(matches: &Match) -> Self {
        Self {
            method: !matches.methods.is_empty(),
            headers: Patterns::of(&matches.headers),
            cookies: Patterns::of(&matches.cookies),
            query: Patterns::of(&matches.query),
            client: matches.clients.iter().map(client_rank).min().unwrap_or(0),
            listener: !matches.listeners.is_empty(),
        }
    }
}

/// More patterns before fewer, then more exact ones before looser ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Patterns {
    count: usize,
    exact: usize,
    prefix_bytes: usize,
}

impl Patterns {
    fn of(patterns: &[(String, ValuePattern)]) -> Self {
        let mut rank = Self {
            count: patterns.len(),
            exact: 0,
            prefix_bytes: 0,
        };
        for (_, pattern) in patterns {
            match pattern {
                ValuePattern::Present => {}
                ValuePattern::Prefix(start) => rank.prefix_bytes += start.len() + 1,
                ValuePattern::Exact(_) => rank.exact += 1,
            }
        }
        rank
    }
}

fn client_rank(network: &IpNet) -> u8 {
    match network {
        IpNet::V4(network) => 97 + network.prefix_len(),
        IpNet::V6(network) => 1 + network.prefix_len(),
    }
}

/// Every pattern, or once `None` when there is none.
fn options<T>(patterns: &[T]) -> impl Iterator<Item = Option<&T>> {
    let none = patterns.is_empty().then_some(None);
    none.into_iter().chain(patterns.iter().map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(pattern: &str) -> Match {
        Match {
            hosts: vec![crate::value::parse_host(pattern).unwrap()],
            ..Match::default()
        }
    }

    fn path(pattern: &str) -> Match {
        Match {
            paths: vec![crate::value::parse_path_pattern(pattern).unwrap()],
            ..Match::default()
        }
    }

    fn header(pattern: ValuePattern) -> Match {
        Match {
            headers: vec![("x".to_owned(), pattern)],
            ..Match::default()
        }
    }

    fn client(network: &str) -> Match {
        Match {
            clients: vec![network.parse().unwrap()],
            ..Match::default()
        }
    }

    fn rank(matches: &Match) -> Specificity {
        alternatives(matches).next().unwrap().specificity
    }

    #[test]
    fn each_condition_is_ranked_from_the_exact_to_the_loose() {
        let descending = [
            host("a.b.example"),
            host("*.b.example"),
            host("*.example"),
            path("/a/b"),
            path("/a/b/*"),
            path("/a/*"),
            path("/*"),
            Match {
                methods: vec!["GET".to_owned()],
                ..Match::default()
            },
            header(ValuePattern::Exact("a".to_owned())),
            header(ValuePattern::Prefix("ab".to_owned())),
            header(ValuePattern::Prefix("a".to_owned())),
            header(ValuePattern::Present),
            Match {
                cookies: vec![("x".to_owned(), ValuePattern::Present)],
                ..Match::default()
            },
            Match {
                query: vec![("x".to_owned(), ValuePattern::Present)],
                ..Match::default()
            },
            client("10.1.0.0/16"),
            client("10.0.0.0/8"),
            client("::/0"),
            Match {
                listeners: vec!["web".to_owned()],
                ..Match::default()
            },
            Match::default(),
        ];
        for pair in descending.windows(2) {
            assert!(rank(&pair[0]) > rank(&pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn more_headers_win_over_fewer_even_if_looser() {
        let mut two = header(ValuePattern::Present);
        two.headers.push(("y".to_owned(), ValuePattern::Present));
        assert!(rank(&two) > rank(&header(ValuePattern::Exact("a".to_owned()))));
    }

    #[test]
    fn several_hosts_and_paths_stand_for_every_pair() {
        let mut matches = host("a.example");
        matches.hosts.extend(host("*.b.example").hosts);
        matches.paths = path("/a").paths;
        matches.paths.extend(path("/b/*").paths);
        let found: Vec<_> = alternatives(&matches).collect();
        assert_eq!(found.len(), 4);
        assert!(found[0].specificity > found[1].specificity);
        assert!(found[1].specificity > found[2].specificity);
        assert_eq!(alternatives(&Match::default()).count(), 1);
    }
}
