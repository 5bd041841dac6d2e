//! What any text must get from the policy language. Shared with the fuzzer in `fuzz/`.

use std::path::Path;

use pointsman_config::backends;
use pointsman_config::policy::Policy;

/// Panics when the text gets no answer, or a report that does not fit it.
pub fn answer(text: &str) {
    if let Err(report) = backends::of_text(text, Path::new("list.toml")) {
        assert!(report.has_errors());
        assert!(report.headline().len() > 10);
    }
    if let Err(report) = Policy::from_toml(text, Path::new("tests/accepted/any.toml")) {
        assert!(report.has_errors());
        assert!(report.render_text(true).len() > 10);
        assert!(report.render_json().starts_with('['));
        assert!(report.render_github().starts_with("::"));
        for problem in &report.problems {
            assert!(problem.line <= text.lines().count() + 1, "{problem:?}");
        }
    }
}
