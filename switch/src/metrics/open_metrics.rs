//! The text format of OpenMetrics 1.0, for exemplars: the format of Prometheus has none.

use std::fmt::{self, Write as _};
use std::time::UNIX_EPOCH;

use prometheus::proto;

use super::block::{EDGES, Exemplar, Exemplars};
use super::collect::Page;
use super::table::{Family, Kind};

/// Writes all families that have series.
pub(super) fn text(page: &Page) -> String {
    let mut text = String::new();
    for family in Family::ALL {
        if !page.series(*family).is_empty() {
            // To a text, writing does not fail.
            let _ = write_family(&mut text, page, *family);
        }
    }
    text.push_str("# EOF\n");
    text
}

fn write_family(out: &mut String, page: &Page, family: Family) -> fmt::Result {
    let row = family.metric();
    let name = match row.kind {
        Kind::Counter => row.name.strip_suffix("_total").unwrap_or(row.name),
        Kind::Gauge | Kind::Histogram => row.name,
    };
    writeln!(out, "# TYPE {name} {}", row.kind.word())?;
    writeln!(out, "# HELP {name} {}", escaped(row.help))?;
    for (place, metric) in page.series(family).iter().enumerate() {
        match row.kind {
            Kind::Counter => {
                let value = metric.get_counter().get_value();
                sample(out, row.name, metric, None, value)?;
            }
            Kind::Gauge => sample(out, name, metric, None, metric.get_gauge().get_value())?,
            Kind::Histogram => {
                histogram(out, name, metric, page.exemplars(family, place))?;
            }
        }
    }
    Ok(())
}

fn histogram(
    out: &mut String,
    name: &str,
    metric: &proto::Metric,
    exemplars: Option<&Exemplars>,
) -> fmt::Result {
    let histogram = metric.get_histogram();
    let edges = histogram.get_bucket().iter().map(|bucket| {
        let edge = Some(number(bucket.upper_bound()));
        (edge, bucket.cumulative_count())
    });
    let all = (None, histogram.get_sample_count());
    let bucket = format!("{name}_bucket");
    for (place, (edge, count)) in edges.chain([all]).enumerate() {
        let edge = edge.unwrap_or_else(|| "+Inf".to_owned());
        line(out, &bucket, metric, Some(&edge), &count.to_string())?;
        if let Some(exemplar) = exemplars.and_then(|all| all[place.min(EDGES.len())]) {
            write_exemplar(out, &exemplar)?;
        }
        out.push('\n');
    }
    let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
    line(
        out,
        &format!("{name}_count"),
        metric,
        None,
        &count.to_string(),
    )?;
    out.push('\n');
    sample(out, &format!("{name}_sum"), metric, None, sum)
}

fn write_exemplar(out: &mut String, exemplar: &Exemplar) -> fmt::Result {
    let at = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let took = number(exemplar.took.as_secs_f64());
    let (trace, at) = (exemplar.trace, at.as_secs_f64());
    write!(out, " # {{trace_id=\"{trace}\"}} {took} {at:.3}")
}

fn sample(
    out: &mut String,
    name: &str,
    metric: &proto::Metric,
    edge: Option<&str>,
    value: f64,
) -> fmt::Result {
    line(out, name, metric, edge, &number(value))?;
    out.push('\n');
    Ok(())
}

fn line(
    out: &mut String,
    name: &str,
    metric: &proto::Metric,
    edge: Option<&str>,
    value: &str,
) -> fmt::Result {
    out.push_str(name);
    let labels = metric.get_label().iter();
    let labels = labels.map(|pair| (pair.name(), pair.value()));
    let labels = labels.chain(edge.map(|edge| ("le", edge)));
    let mut before = '{';
    for (name, value) in labels {
        write!(out, "{before}{name}=\"{}\"", escaped(value))?;
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    write!(out, " {value}")
}

/// A number in its canonical form: an edge is `1.0`, not `1`.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => format!("{value:?}"),
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}
