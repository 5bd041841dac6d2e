//! Reports of load in answers: the field `endpoint-load-metrics` with an ORCA report (Open Request
//! Cost Aggregation, `xds.data.orca.v3.OrcaLoadReport`) as text or JSON:
//!
//! ```text
//! endpoint-load-metrics: TEXT cpu_utilization=0.31, rps_fractional=120.5, eps=2
//! endpoint-load-metrics: JSON {"cpu_utilization": 0.31, "rps_fractional": 120.5}
//! ```
//!
//! The binary form is passed over.

use serde::Deserialize;

/// Bytes of a report at most.
const MAX_LENGTH: usize = 4096;

/// The largest number that is taken for true.
const MOST: f64 = 1e12;

/// How much an error weighs beside the load (gRFC A58, `error_utilization_penalty`).
const ERROR_PENALTY: f64 = 1.0;

/// What a server reports of itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Report {
    /// Used part of the processors: 1.0 is all that it may use, more is possible.
    #[serde(default, alias = "cpuUtilization")]
    pub cpu_utilization: f64,
    /// Used part of what the application itself counts; takes the place of the processors' if it is
    /// above zero.
    #[serde(default, alias = "applicationUtilization")]
    pub application_utilization: f64,
    /// Requests per second.
    #[serde(default, alias = "rpsFractional")]
    pub rps_fractional: f64,
    /// Errors per second.
    #[serde(default)]
    pub eps: f64,
}

impl Report {
    /// Reads a field's value; `None` for one that cannot be read as a whole.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = value.get(..value.len().min(MAX_LENGTH + 1))?;
        let text = std::str::from_utf8(text).ok()?.trim_ascii();
        let (form, content) = text.split_once(' ').filter(|_| text.len() <= MAX_LENGTH)?;
        let report = match form.to_ascii_uppercase().as_str() {
            "TEXT" => Self::from_text(content),
            "JSON" => serde_json::from_str(content).ok(),
            _ => None,
        };
        report.filter(Self::is_sound)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut report = Self::default();
        for pair in text.split(',').map(str::trim_ascii) {
            let (key, value) = pair.split_once('=')?;
            let number = || value.trim_ascii().parse::<f64>().ok();
            match key.trim_ascii() {
                "cpu_utilization" => report.cpu_utilization = number()?,
                "application_utilization" => report.application_utilization = number()?,
                "rps_fractional" => report.rps_fractional = number()?,
                "eps" => report.eps = number()?,
                _ => {}
            }
        }
        Some(report)
    }

    fn is_sound(&self) -> bool {
        let all = [
            self.cpu_utilization,
            self.application_utilization,
            self.rps_fractional,
            self.eps,
        ];
        all.iter().all(|number| (0.0..=MOST).contains(number))
    }

    /// The used part of what it has: 1.0 is all.
    pub fn utilization(&self) -> f64 {
        match self.application_utilization > 0.0 {
            true => self.application_utilization,
            false => self.cpu_utilization,
        }
    }

    /// The requests per second that it could serve, as a weight (gRFC A58, "Client-side weighted
    /// round robin"): requests per second over utilisation and, for errors, a penalty. `None` when
    /// the report tells nothing of one of them.
    pub fn capacity(&self) -> Option<f64> {
        let (rps, used) = (self.rps_fractional, self.utilization());
        let capacity = || rps / (used + self.eps / rps * ERROR_PENALTY);
        (rps > 0.0 && used > 0.0).then(|| capacity().min(MOST))
    }
}

/// What the fuzzer of `fuzz/` and the tests drive: whatever is taken is sound.
///
/// # Panics
/// It is not so.
#[cfg(any(test, feature = "fuzzing"))]
pub fn fuzz(bytes: &[u8]) {
    if let Some(report) = Report::parse(bytes) {
        assert!(report.is_sound());
        let capacity = report.capacity().unwrap_or(0.0);
        assert!(capacity >= 0.0 && capacity.is_finite());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &str) -> Option<Report> {
        Report::parse(value.as_bytes())
    }

    fn report(cpu: f64, application: f64, rps: f64, eps: f64) -> Report {
        Report {
            cpu_utilization: cpu,
            application_utilization: application,
            rps_fractional: rps,
            eps,
        }
    }

    #[test]
    fn text_and_json_say_the_same() {
        let expected = Some(report(0.3, 0.0, 120.5, 2.0));
        for value in [
            "TEXT cpu_utilization=0.3,rps_fractional=120.5,eps=2",
            "  text cpu_utilization=0.3, eps = 2 , rps_fractional=120.5 ",
            "TEXT mem_utilization=0.9,named_metrics.x=abc,cpu_utilization=0.3,rps_fractional=120.5,eps=2",
            r#"JSON {"cpu_utilization": 0.3, "rps_fractional": 120.5, "eps": 2}"#,
            r#"JSON {"cpuUtilization": 0.3, "rpsFractional": 120.5, "eps": 2, "named_metrics": {"x": 1}}"#,
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_as_a_whole_is_no_report() {
        for value in [
            "",
            "TEXT",
            "TEXT ",
            "TEXT cpu_utilization",
            "TEXT cpu_utilization=",
            "TEXT cpu_utilization=much",
            "TEXT cpu_utilization=-0.1",
            "TEXT cpu_utilization=NaN",
            "TEXT eps=inf",
            "JSON {\"cpu_utilization\": \"0.3\"}",
            "JSON {\"eps\": 1e300}",
            "JSON [",
            "BIN CgkJMzMzMzMz0z8=",
            "cpu_utilization=0.3",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
        let long = format!("TEXT cpu_utilization=0.3,x={}", "1".repeat(MAX_LENGTH));
        assert_eq!(parse(&long), None);
        let deep = format!("JSON {{\"x\": {}", "[".repeat(4000));
        assert_eq!(parse(&deep), None);
    }

    #[test]
    fn a_capacity_is_what_could_be_served_at_full_use() {
        let close = |report: Report, expected: f64| {
            let capacity = report.capacity().expect("it can be told");
            assert!((capacity - expected).abs() < 1e-6, "{capacity}");
        };
        close(report(0.5, 0.0, 100.0, 0.0), 200.0);
        close(report(0.5, 0.25, 100.0, 0.0), 400.0);
        close(report(0.5, 0.0, 100.0, 50.0), 100.0);
        assert_eq!(report(0.0, 0.0, 100.0, 0.0).capacity(), None);
        assert_eq!(report(0.5, 0.0, 0.0, 0.0).capacity(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_anything_but_a_sound_report(bytes: Vec<u8>) {
            fuzz(&bytes);
            fuzz(&[b"TEXT ", &bytes[..]].concat());
            fuzz(&[b"JSON ", &bytes[..]].concat());
        }

        #[test]
        fn a_report_that_is_written_can_be_read(
            numbers in proptest::array::uniform4(0.0..1e6),
        ) {
            let [cpu, application, rps, eps] = numbers;
            let text = format!(
                "TEXT cpu_utilization={cpu},application_utilization={application},\
                 rps_fractional={rps},eps={eps}"
            );
            prop_assert_eq!(parse(&text), Some(report(cpu, application, rps, eps)));
        }
    }

    #[test]
    fn the_seeds_of_the_fuzzer_make_nothing_but_sound_reports() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/load_report");
        let seeds = std::fs::read_dir(folder).expect("the corpus is there");
        let mut count = 0;
        for seed in seeds {
            fuzz(&std::fs::read(seed.expect("a seed").path()).expect("it can be read"));
            count += 1;
        }
        assert!(count >= 5, "{count} seeds");
    }
}
