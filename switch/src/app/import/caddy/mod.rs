//! Caddy: a Caddyfile with its sites, snippets, matchers and handlers.

mod handle;
mod lex;
mod matcher;
mod proxy;
mod site;

use std::collections::HashMap;

use super::draft::Draft;
use super::files::Files;
use super::tree::{Directive, MAX_DEPTH};

/// Directives at most, once snippets are put in: they may be in each other.
const MAX_DIRECTIVES: usize = 50_000;

pub(super) fn read(files: &mut Files) -> Draft {
    let text = files.main();
    let mut reader = Reader::default();
    let parsed = lex::directives(&text, 0);
    let (snippets, rest): (Vec<_>, Vec<_>) = parsed.into_iter().partition(is_snippet);
    for snippet in snippets {
        let name = snippet.name().trim_matches(['(', ')']).to_owned();
        reader
            .snippets
            .insert(name, snippet.block.unwrap_or_default());
    }
    let rest = reader.with_imports(rest, 0);
    reader.all(rest);
    reader.draft
}

fn is_snippet(directive: &Directive) -> bool {
    directive.name().starts_with('(') && directive.block.is_some()
}

#[derive(Default)]
struct Reader {
    draft: Draft,
    snippets: HashMap<String, Vec<Directive>>,
    count: usize,
}

impl Reader {
    fn with_imports(&mut self, directives: Vec<Directive>, depth: usize) -> Vec<Directive> {
        let mut all = Vec::new();
        for mut directive in directives {
            self.count += 1;
            if self.count > MAX_DIRECTIVES {
                break;
            }
            if directive.name() == "import" && directive.block.is_none() {
                match self.snippets.get(directive.arg(0)).cloned() {
                    Some(snippet) if depth < MAX_DEPTH => {
                        let filled = filled(snippet, directive.args());
                        all.extend(self.with_imports(filled, depth + 1));
                    }
                    _ => self.note(&directive, "only snippets of the same file"),
                }
                continue;
            }
            if let Some(block) = directive.block.take() {
                directive.block = Some(self.with_imports(block, depth + 1));
            }
            all.push(directive);
        }
        all
    }

    fn all(&mut self, directives: Vec<Directive>) {
        let mut directives = directives.into_iter().peekable();
        if let Some(global) = directives.next_if(|first| first.words.is_empty()) {
            self.global(&global);
        }
        let rest: Vec<Directive> = directives.collect();
        // A file with one site may go without braces: its first line is the address.
        let has_sites = rest
            .iter()
            .any(|one| one.block.is_some() && looks_like_site(one.name()));
        match rest.split_first() {
            Some((first, more)) if !has_sites && first.block.is_none() => {
                let site = Directive {
                    block: Some(more.to_vec()),
                    ..first.clone()
                };
                site::all(self, &[site]);
            }
            _ => site::all(self, &rest),
        }
    }

    fn global(&mut self, global: &Directive) {
        const UNNEEDED: &[&str] = &[
            "admin",
            "auto_https",
            "debug",
            "default_sni",
            "email",
            "http_port",
            "https_port",
            "log",
            "order",
            "persist_config",
            "storage",
            "grace_period",
        ];
        for line in global.block() {
            if !UNNEEDED.contains(&line.name()) {
                self.note(line, "no counterpart");
            }
        }
    }

    fn note(&mut self, line: &Directive, why: &str) {
        self.draft
            .note(line.at, format!("`{}`: {why}", line.text()));
    }
}

fn looks_like_site(name: &str) -> bool {
    const DIRECTIVES: &[&str] = &[
        "reverse_proxy",
        "handle",
        "handle_path",
        "route",
        "log",
        "header",
        "tls",
    ];
    !DIRECTIVES.contains(&name) && !name.starts_with('@')
}

/// A snippet with its arguments.
fn filled(mut snippet: Vec<Directive>, args: &[String]) -> Vec<Directive> {
    for directive in &mut snippet {
        for word in &mut directive.words {
            for (number, arg) in args.iter().skip(1).enumerate() {
                for form in [format!("{{args[{number}]}}"), format!("{{args.{number}}}")] {
                    if word.len() < 1 << 16 {
                        *word = word.replace(&form, arg);
                    }
                }
            }
        }
        if let Some(block) = directive.block.take() {
            directive.block = Some(filled(block, args));
        }
    }
    snippet
}

/// A time as Caddy writes it: Go's, and days.
fn duration(text: &str) -> Option<String> {
    pointsman_config::value::parse_duration(text)
        .is_ok()
        .then(|| text.to_owned())
}
