//! As much of PromQL as it takes to find the metrics and labels of a query.

/// A metric and the labels in its braces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) labels: Vec<String>,
}

/// The selectors of the switch's metrics in a query.
pub(crate) fn selectors(query: &str) -> Vec<Selector> {
    let plain = without_strings(query);
    let mut found = Vec::new();
    for (at, word) in words(&plain) {
        if !word.starts_with("pointsman_") && !word.starts_with("process_") {
            continue;
        }
        let rest = &plain[at + word.len()..];
        let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = braces.map_or(Vec::new(), |(inner, _)| {
            words(inner)
                .into_iter()
                .map(|(_, label)| label.to_owned())
                .collect()
        });
        found.push(Selector {
            metric: word.to_owned(),
            labels,
        });
    }
    found
}

/// The labels that a query groups or joins by.
pub(crate) fn grouping_labels(query: &str) -> Vec<String> {
    let plain = without_strings(query);
    let lists = plain
        .match_indices(" by (")
        .chain(plain.match_indices(" on ("));
    lists
        .filter_map(|(at, opening)| plain[at + opening.len()..].split_once(')'))
        .flat_map(|(list, _)| words(list).into_iter().map(|(_, label)| label.to_owned()))
        .collect()
}

/// Empties every quoted string: label values are not names.
fn without_strings(query: &str) -> String {
    query.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// Names, and where they begin.
fn words(text: &str) -> Vec<(usize, &str)> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text
        .char_indices()
        .filter(|(at, c)| part(*c) && !text[..*at].chars().next_back().is_some_and(part));
    starts
        .map(|(at, _)| (at, &text[at..]))
        .map(|(at, rest)| (at, rest.split(|c| !part(c)).next().unwrap_or(rest)))
        .collect()
}

#[test]
fn metrics_and_labels_are_found() {
    let query = "sum by (pool, le) (rate(pointsman_a_bucket{pool=~\"by (x)\",code!=\"5..\"}[5m])) \
                 / on (job) process_b > 0.5";
    let selector = |metric: &str, labels: &[&str]| Selector {
        metric: metric.into(),
        labels: labels.iter().map(|label| label.to_string()).collect(),
    };
    assert_eq!(
        selectors(query),
        [
            selector("pointsman_a_bucket", &["pool", "code"]),
            selector("process_b", &[])
        ],
    );
    assert_eq!(grouping_labels(query), ["pool", "le", "job"]);
}
