//! Makes a policy pass its check: what it finds fault with becomes a comment that says why.

use std::collections::BTreeMap;
use std::path::Path;

use pointsman_config::policy::Policy;
use pointsman_config::report::Severity;

/// Rounds at most. Each one takes something out.
const MAX_ROUNDS: usize = 64;

/// Keys that a table is nothing without: with one of them, the whole table goes.
const ESSENTIAL: [&str; 11] = [
    "match", "pool", "split", "redirect", "respond", "rewrite", "bind", "protocol", "tls",
    "backends", "discover",
];

/// The text, and how much of it has become a comment. It may still not pass, when nothing is left.
pub(super) fn passing(mut text: String, name: &Path) -> (String, usize) {
    let mut left_out = 0;
    for _ in 0..MAX_ROUNDS {
        let Err(report) = Policy::from_toml(&text, name) else {
            break;
        };
        let mut faults = BTreeMap::new();
        for problem in report.problems {
            if problem.severity == Severity::Error && problem.line > 0 {
                let more = match problem.code {
                    "unreadable-file" => {
                        ": once it is there, take the # away here and at its routes"
                    }
                    _ => "",
                };
                let why = problem.message + more;
                faults.entry(problem.line - 1).or_insert(why);
            }
        }
        let (repaired, count) = take_out(&text, &faults);
        if count == 0 {
            break;
        }
        left_out += count;
        text = repaired;
    }
    (text, left_out)
}

fn take_out(text: &str, faults: &BTreeMap<usize, String>) -> (String, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::with_capacity(text.len() + 1024);
    let mut count = 0;
    let mut place = 0;
    while place < lines.len() {
        let end = table_end(&lines, place);
        let whole = faults
            .range(place..end)
            .find(|(line, _)| is_essential(lines[**line]));
        if let Some((_, why)) = whole {
            count += 1;
            out.push_str(&format!("# left out: {}\n", plain(why)));
        }
        for (number, line) in lines[place..end].iter().enumerate() {
            let fault = faults.get(&(place + number));
            let is_written = !line.is_empty() && !line.starts_with('#');
            if let (Some(why), None, true) = (fault, whole, is_written) {
                count += 1;
                out.push_str(&format!("# left out: {}\n", plain(why)));
            }
            let goes = is_written && (whole.is_some() || fault.is_some());
            out.push_str(if goes { "# " } else { "" });
            out.push_str(line);
            out.push('\n');
        }
        place = end;
    }
    (out, count)
}

/// From the header at or behind a place to the next one; what stands before the first is one as well.
fn table_end(lines: &[&str], place: usize) -> usize {
    let next = lines[place + 1..]
        .iter()
        .position(|line| line.starts_with('['));
    next.map_or(lines.len(), |next| place + 1 + next)
}

fn is_essential(line: &str) -> bool {
    let key = line.split([' ', '=']).next().unwrap_or_default();
    line.starts_with('[') || ESSENTIAL.contains(&key)
}

fn plain(why: &str) -> String {
    why.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
