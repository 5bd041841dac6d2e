//! The index over a policy's routes: hosts, then paths, then conditions, each from the most to the
//! least specific, which is the order of `pointsman_config::specificity`. Host and path are looked up by hash, so that a thousand routes cost little more
//! than one.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use pointsman_config::policy::{HostPattern, PathPattern, Route};
use pointsman_config::specificity::{Alternative, Specificity, alternatives};

use super::RequestView;
use super::conditions::{Condition, Conditions};

type Map<V> = HashMap<Box<str>, V, RandomState>;

/// Hears of what a search passes over.
pub trait Witness {
    /// The route at this place was not taken since this condition failed.
    fn passed_over(&mut self, route: usize, condition: Condition<'_>);
}

/// Hears nothing, and costs nothing.
impl Witness for () {
    fn passed_over(&mut self, _: usize, _: Condition<'_>) {}
}

/// Finds the route that takes a request.
#[derive(Debug, Default)]
pub struct Router {
    exact: Map<Paths>,
    /// By the part after `*.`.
    wildcards: Map<Paths>,
    /// The lengths of those parts, the longest first.
    wildcard_lengths: Vec<usize>,
    /// Routes without a host.
    anywhere: Paths,
}

impl Router {
    /// The index over these routes.
    pub fn build(routes: &[Route]) -> Self {
        let mut router = Self::default();
        for (route, policy) in routes.iter().enumerate() {
            let conditions = Arc::new(Conditions::new(&policy.matches));
            for Alternative {
                host,
                path,
                specificity,
            } in alternatives(&policy.matches)
            {
                let entry = Entry {
                    route,
                    specificity,
                    conditions: conditions.clone(),
                };
                router.paths_mut(host).bucket_mut(path).0.push(entry);
            }
        }
        router.wildcard_lengths = lengths(&router.wildcards);
        for paths in router.all_paths_mut() {
            paths.finish();
        }
        router
    }

    /// The place of the most specific route that takes the request. A route whose conditions fail
    /// does not shadow less specific ones, not even those of a wildcard or of no host.
    pub fn find(&self, view: &impl RequestView) -> Option<usize> {
        self.find_before(view, &mut ())
    }

    /// The same, and `witness` hears of each route whose host and path fit, and that was passed
    /// over since a condition failed.
    pub fn find_before(
        &self,
        view: &impl RequestView,
        witness: &mut impl Witness,
    ) -> Option<usize> {
        // The dot of a fully qualified name (RFC 3986 3.2.2).
        let host = view.host().strip_suffix('.').unwrap_or(view.host());
        if let Some(paths) = self.exact.get(host)
            && let Some(found) = paths.find(view, witness)
        {
            return Some(found);
        }
        self.wildcards_of(host)
            .find_map(|paths| paths.find(view, witness))
            .or_else(|| self.anywhere.find(view, witness))
    }

    /// Those whose part after `*.` the host ends with, after one label at least.
    fn wildcards_of(&self, host: &str) -> impl Iterator<Item = &Paths> {
        self.wildcard_lengths.iter().filter_map(move |length| {
            let dot = host.len().checked_sub(length + 1)?;
            let labelled = dot > 0 && host.as_bytes()[dot] == b'.';
            labelled.then(|| self.wildcards.get(&host[dot + 1..]))?
        })
    }

    fn paths_mut(&mut self, host: Option<&HostPattern>) -> &mut Paths {
        match host {
            Some(HostPattern::Exact(name)) => self.exact.entry(name.as_str().into()).or_default(),
            Some(HostPattern::Wildcard(suffix)) => {
                self.wildcards.entry(suffix.as_str().into()).or_default()
            }
            None => &mut self.anywhere,
        }
    }

    fn all_paths_mut(&mut self) -> impl Iterator<Item = &mut Paths> {
        let wildcards = self.wildcards.values_mut();
        self.exact
            .values_mut()
            .chain(wildcards)
            .chain([&mut self.anywhere])
    }
}

/// The routes of one host by path.
#[derive(Debug, Default)]
struct Paths {
    exact: Map<Bucket>,
    prefixes: Map<Bucket>,
    /// The lengths of the prefixes, the longest first. There are few different ones, however many
    /// routes, and most are ruled out by one byte.
    prefix_lengths: Vec<usize>,
    /// Routes without a path.
    any: Bucket,
}

impl Paths {
    fn find(&self, view: &impl RequestView, witness: &mut impl Witness) -> Option<usize> {
        let path = view.path();
        // Most hosts have no exact paths: no need to hash then.
        if !self.exact.is_empty()
            && let Some(bucket) = self.exact.get(path)
            && let Some(found) = bucket.find(view, witness)
        {
            return Some(found);
        }
        self.prefixes_of(path)
            .find_map(|bucket| bucket.find(view, witness))
            .or_else(|| self.any.find(view, witness))
    }

    fn prefixes_of(&self, path: &str) -> impl Iterator<Item = &Bucket> {
        self.prefix_lengths.iter().filter_map(move |&length| {
            let ends = length == 0
                || length == path.len()
                || path
                    .as_bytes()
                    .get(length)
                    .is_some_and(|next| *next == b'/');
            ends.then(|| self.prefixes.get(&path[..length]))?
        })
    }

    fn bucket_mut(&mut self, path: Option<&PathPattern>) -> &mut Bucket {
        match path {
            Some(PathPattern::Exact(path)) => self.exact.entry(path.as_str().into()).or_default(),
            Some(PathPattern::Prefix(prefix)) => {
                self.prefixes.entry(prefix.as_str().into()).or_default()
            }
            None => &mut self.any,
        }
    }

    fn finish(&mut self) {
        self.prefix_lengths = lengths(&self.prefixes);
        let prefixes = self.prefixes.values_mut();
        for bucket in self
            .exact
            .values_mut()
            .chain(prefixes)
            .chain([&mut self.any])
        {
            bucket.finish();
        }
    }
}

/// Routes of the same host and path, the most specific first.
#[derive(Debug, Default)]
struct Bucket(Vec<Entry>);

impl Bucket {
    fn find(&self, view: &impl RequestView, witness: &mut impl Witness) -> Option<usize> {
        self.0
            .iter()
            .find(|entry| match entry.conditions.failing(view) {
                None => true,
                Some(condition) => {
                    witness.passed_over(entry.route, condition);
                    false
                }
            })
            .map(|entry| entry.route)
    }

    fn finish(&mut self) {
        // Stable: of equal ones, which the policy's checks refuse, the first in the file wins.
        self.0.sort_by_key(|entry| Reverse(entry.specificity));
        self.0.shrink_to_fit();
    }
}

#[derive(Debug)]
struct Entry {
    route: usize,
    specificity: Specificity,
    /// Shared by the alternatives of one route.
    conditions: Arc<Conditions>,
}

/// The different lengths of the keys, the longest first.
fn lengths<V>(map: &Map<V>) -> Vec<usize> {
    let mut lengths: Vec<usize> = map.keys().map(|key| key.len()).collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    lengths.dedup();
    lengths
}
