use super::{Problem, Report};

pub(super) fn render(report: &Report) -> String {
    report.problems.iter().map(annotation).collect()
}

/// The workflow command `::error file=F,line=L,col=C,title=T::message`.
fn annotation(problem: &Problem) -> String {
    let mut message = problem.message.clone();
    if let Some(help) = &problem.help {
        message.push('\n');
        message.push_str("help: ");
        message.push_str(help);
    }
    let place = match problem.line {
        0 => String::new(),
        line => format!(",line={line},col={}", problem.column),
    };
    format!(
        "::{} file={}{place},title={}::{}\n",
        problem.severity.word(),
        escaped_property(&problem.file.display().to_string()),
        escaped_property(problem.code),
        escaped_message(&message),
    )
}

fn escaped_message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn escaped_property(text: &str) -> String {
    escaped_message(text)
        .replace(':', "%3A")
        .replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;

    #[test]
    fn what_ends_a_property_or_a_line_is_escaped() {
        let problem = Problem {
            file: "a,b:c%.toml".into(),
            line: 3,
            column: 7,
            width: 1,
            severity: Severity::Warning,
            code: "unused-pool",
            message: "100% wrong".to_owned(),
            help: Some("look:\nagain".to_owned()),
            also: None,
        };
        assert_eq!(
            annotation(&problem),
            "::warning file=a%2Cb%3Ac%25.toml,line=3,col=7,title=unused-pool\
             ::100%25 wrong%0Ahelp: look:%0Aagain\n"
        );
    }
}
