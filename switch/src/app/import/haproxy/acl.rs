//! ACLs and conditions, as conditions of routes.

use std::collections::HashMap;

use super::super::draft::Match;
use super::super::tree::Directive;
use super::super::word::Word;

/// Conjunctions of a condition at most, and conditions in each.
const MAX: usize = 64;

/// What a frontend's ACLs mean.
#[derive(Default)]
pub(super) struct Acls(HashMap<String, Vec<Vec<String>>>);

/// One way in which a condition holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Way {
    pub(super) matches: Match,
    /// Whether it must have come by TLS, or must not.
    pub(super) tls: Option<bool>,
}

impl Acls {
    pub(super) fn of<'a>(lines: impl Iterator<Item = &'a Directive>) -> Self {
        let mut acls = Self::default();
        for line in lines.filter(|line| line.name() == "acl") {
            if let Some((name, test)) = line.args().split_first() {
                acls.0.entry(name.clone()).or_default().push(test.to_vec());
            }
        }
        // What HAProxy knows by itself.
        for (name, test) in [
            ("HTTP", "always_true"),
            ("TRUE", "always_true"),
            ("METH_GET", "method GET HEAD"),
            ("METH_POST", "method POST"),
            ("LOCALHOST", "src 127.0.0.1/8"),
        ] {
            let words = test.split(' ').map(str::to_owned).collect();
            acls.0.entry(name.to_owned()).or_insert_with(|| vec![words]);
        }
        acls
    }

    /// All ways in which what stands behind `if` or `unless` holds; nothing when routes cannot say it.
    pub(super) fn ways(&self, words: &[String]) -> Option<Vec<Way>> {
        let Some((how, words)) = words.split_first() else {
            return Some(vec![Way::default()]);
        };
        let is_unless = how == "unless";
        let groups = split(words);
        if is_unless && (groups.len() != 1 || groups[0].len() != 1) {
            return None;
        }
        let mut all = Vec::new();
        for group in groups {
            let mut ways = vec![Way::default()];
            for (test, negated) in group {
                let more = self.term(&test, negated != is_unless)?;
                ways = product(&ways, &more)?;
            }
            all.extend(ways);
        }
        (all.len() <= MAX).then_some(all)
    }

    fn term(&self, test: &Term, negated: bool) -> Option<Vec<Way>> {
        let tests = match test {
            Term::Named(name) => self.0.get(name)?.clone(),
            Term::Anonymous(words) => vec![words.clone()],
        };
        let mut ways = Vec::new();
        for test in &tests {
            ways.push(way(test, negated)?);
        }
        // Several lines of one name: one of them must hold; none of them, when it is negated.
        match negated && ways.len() > 1 {
            true => None,
            false => merged(ways),
        }
    }
}

#[derive(Debug)]
enum Term {
    Named(String),
    Anonymous(Vec<String>),
}

/// Disjunctions of conjunctions, each term with whether it is negated.
fn split(words: &[String]) -> Vec<Vec<(Term, bool)>> {
    let mut groups = vec![Vec::new()];
    let mut words = words.iter();
    let mut negated = false;
    while let Some(word) = words.next() {
        let term = match word.as_str() {
            "or" | "||" => {
                groups.push(Vec::new());
                continue;
            }
            "!" => {
                negated = !negated;
                continue;
            }
            "{" | "!{" => {
                negated ^= word == "!{";
                Term::Anonymous(
                    words
                        .by_ref()
                        .take_while(|word| *word != "}")
                        .cloned()
                        .collect(),
                )
            }
            name => {
                negated ^= name.starts_with('!');
                Term::Named(name.trim_start_matches('!').to_owned())
            }
        };
        if let Some(group) = groups.last_mut() {
            group.push((term, std::mem::take(&mut negated)));
        }
    }
    groups
}

/// Ways that differ by one list of values are one way.
fn merged(ways: Vec<Way>) -> Option<Vec<Way>> {
    let mut merged: Vec<Way> = Vec::new();
    for way in ways {
        let Some(last) = merged.last_mut() else {
            merged.push(way);
            continue;
        };
        let (a, b) = (&mut last.matches, &way.matches);
        let only = |list: fn(&Match) -> &Vec<String>, other: &Match| {
            let mut rest = other.clone();
            let empty = Match::default();
            *pick(&mut rest, list) = Vec::new();
            rest == empty && !list(other).is_empty()
        };
        let lists: [fn(&Match) -> &Vec<String>; 4] =
            [|m| &m.hosts, |m| &m.paths, |m| &m.methods, |m| &m.clients];
        let same = lists
            .into_iter()
            .find(|list| only(*list, a) && only(*list, b));
        match same {
            Some(list) if way.tls.is_none() => {
                let more = list(b).clone();
                pick(a, list).extend(more);
            }
            _ => merged.push(way),
        }
    }
    (merged.len() <= MAX).then_some(merged)
}

/// The same list to be changed.
fn pick(matches: &mut Match, list: fn(&Match) -> &Vec<String>) -> &mut Vec<String> {
    let probe = Match {
        hosts: vec!["h".to_owned()],
        paths: vec!["p".to_owned()],
        methods: vec!["m".to_owned()],
        ..Match::default()
    };
    match list(&probe).first().map(String::as_str) {
        Some("h") => &mut matches.hosts,
        Some("p") => &mut matches.paths,
        Some("m") => &mut matches.methods,
        _ => &mut matches.clients,
    }
}

fn product(ones: &[Way], others: &[Way]) -> Option<Vec<Way>> {
    let mut all = Vec::new();
    for one in ones {
        for other in others {
            all.push(both(one, other)?);
        }
    }
    (all.len() <= MAX).then_some(all)
}

fn both(one: &Way, other: &Way) -> Option<Way> {
    let mut way = one.clone();
    let (a, b) = (&mut way.matches, &other.matches);
    for (mine, theirs) in [
        (&mut a.hosts, &b.hosts),
        (&mut a.paths, &b.paths),
        (&mut a.methods, &b.methods),
        (&mut a.clients, &b.clients),
    ] {
        match (mine.is_empty(), theirs.is_empty()) {
            (true, _) => mine.clone_from(theirs),
            (false, true) => {}
            // Both must hold: that is more than a list of values says.
            (false, false) => return None,
        }
    }
    for (key, word) in &b.fields.0 {
        if let Word::Table(keys) = word {
            for (name, value) in &keys.0 {
                a.fields.set(&[key, name], value.clone());
            }
        }
    }
    match (way.tls, other.tls) {
        (Some(a), Some(b)) if a != b => return None,
        (None, tls) => way.tls = tls,
        _ => {}
    }
    Some(way)
}

/// One test.
fn way(test: &[String], negated: bool) -> Option<Way> {
    let (fetch, rest) = test.split_first()?;
    let mut flags = rest.iter();
    let mut values: Vec<String> = Vec::new();
    let mut matched_by = "";
    while let Some(word) = flags.next() {
        match word.as_str() {
            "-i" | "-n" | "--" => {}
            "-m" => matched_by = flags.next()?,
            "-f" | "-M" => return None,
            _ => values.push(word.clone()),
        }
    }
    let fetch = fetch.split(',').next().unwrap_or_default();
    let (name, argument) = match fetch.split_once('(') {
        Some((name, argument)) => (name, argument.trim_end_matches(')')),
        None => (fetch, ""),
    };
    let mut way = Way::default();
    let matches = &mut way.matches;
    if name == "ssl_fc" {
        way.tls = Some(!negated);
        return Some(way);
    }
    if negated {
        return None;
    }
    let name = name.trim_start_matches("req.").trim_start_matches("req");
    let (name, how) = match (name.split_once('_'), matched_by) {
        (Some(("path" | "hdr" | "base" | "cook" | "urlp", how)), "") => {
            (name.split('_').next()?, how)
        }
        (None, "") => (name, "str"),
        (_, how) if !how.is_empty() => (name, how),
        _ => (name, "str"),
    };
    match (name, how) {
        ("always_true", _) => {}
        ("hdr", how) if argument.eq_ignore_ascii_case("host") => {
            matches.hosts = hosts(how, &values)?
        }
        ("path", how) => matches.paths = paths(how, &values)?,
        ("method", "str") => matches.methods = values,
        ("src", _) => matches.clients = networks(values),
        ("hdr" | "cook" | "urlp" | "url_param", how) => {
            let key = match name {
                "hdr" => "header",
                "cook" => "cookie",
                _ => "query",
            };
            let value = match (how, values.as_slice()) {
                ("found", _) => "*".to_owned(),
                ("str", [value]) => value.clone(),
                ("beg", [value]) => format!("{value}*"),
                _ => return None,
            };
            matches.fields.set(&[key, argument], value);
        }
        _ => return None,
    }
    Some(way)
}

fn hosts(how: &str, values: &[String]) -> Option<Vec<String>> {
    let host = |value: &String| match how {
        "str" => Some(vec![value.split(':').next().unwrap_or_default().to_owned()]),
        "end" => value
            .strip_prefix('.')
            .map(|domain| vec![format!("*.{domain}")]),
        "dom" => Some(vec![value.clone(), format!("*.{value}")]),
        _ => None,
    };
    let all: Option<Vec<_>> = values.iter().map(host).collect();
    all.map(|all| all.concat())
        .filter(|hosts| !hosts.is_empty())
}

fn paths(how: &str, values: &[String]) -> Option<Vec<String>> {
    let path = |value: &String| match how {
        "str" => Some(value.clone()),
        "beg" | "dir" => {
            let value = value.trim_end_matches('/');
            let slash = if value.starts_with('/') || value.is_empty() {
                ""
            } else {
                "/"
            };
            Some(format!("{slash}{value}/*"))
        }
        _ => None,
    };
    let all: Option<Vec<_>> = values.iter().map(path).collect();
    all.filter(|paths| !paths.is_empty())
}

fn networks(values: Vec<String>) -> Vec<String> {
    let whole = |value: String| match (value.contains('/'), value.contains(':')) {
        (true, _) => value,
        (false, true) => value + "/128",
        (false, false) => value + "/32",
    };
    values.into_iter().map(whole).collect()
}
