//! HAProxy: `global`, `defaults`, `frontend`, `backend` and `listen`.

mod acl;
mod backend;
mod frontend;
mod lex;
mod redirect;
mod server;

use std::collections::HashMap;

use super::draft::{At, Draft};
use super::files::Files;
use super::tree::Directive;

/// What tunes HAProxy itself, or what Pointsman does anyway.
const UNNEEDED: &[&str] = &[
    "ca-base",
    "chroot",
    "compression",
    "cpu-map",
    "daemon",
    "description",
    "group",
    "h1-case-adjust",
    "hard-stop-after",
    "lua-load",
    "maxconnrate",
    "maxsslconn",
    "nbproc",
    "node",
    "pidfile",
    "presetenv",
    "setenv",
    "spread-checks",
    "ssl-default-bind-ciphers",
    "ssl-default-bind-ciphersuites",
    "ssl-default-bind-options",
    "ssl-default-server-ciphers",
    "ssl-default-server-ciphersuites",
    "ssl-default-server-options",
    "ssl-dh-param-file",
    "ssl-server-verify",
    "stats",
    "uid",
    "gid",
    "ulimit-n",
    "user",
    "errorfile",
    "errorfiles",
    "fullconn",
    "hash-type",
    "backlog",
    "id",
    "enabled",
    "unique-id-format",
    "unique-id-header",
    "log-format",
    "log-tag",
    "log-send-hostname",
    "monitor",
    "monitor-uri",
    "master-worker",
    "insecure-fork-wanted",
    "log-format-sd",
];

/// Options that need no word.
const OPTIONS: &[&str] = &[
    "abortonclose",
    "clitcpka",
    "dontlog-normal",
    "dontlognull",
    "forwardfor",
    "http-buffer-request",
    "http-keep-alive",
    "http-server-close",
    "httpclose",
    "httplog",
    "http-use-htx",
    "log-health-checks",
    "logasap",
    "nolinger",
    "prefer-last-server",
    "redispatch",
    "socket-stats",
    "splice-auto",
    "splice-request",
    "splice-response",
    "srvtcpka",
    "tcp-smart-accept",
    "tcp-smart-connect",
    "tcpka",
    "tcplog",
    "contstats",
    "log-separate-errors",
    "allbackups",
    "accept-invalid-http-request",
    "http-pretend-keepalive",
    "http-no-delay",
    "http-restrict-req-hdr-names",
    "idle-close-on-response",
];

pub(super) fn read(files: &mut Files) -> Draft {
    let text = files.main();
    let mut reader = Reader {
        sections: sections(lex::lines(&text)),
        ..Reader::default()
    };
    reader.all();
    reader.draft
}

/// A section: its kind, its name, its lines, and the `defaults` that hold for it.
#[derive(Debug, Clone, Default)]
struct Section {
    at: At,
    kind: String,
    name: String,
    /// What stands behind the name: `from DEFAULTS`, or an address of old.
    more: Vec<String>,
    lines: Vec<Directive>,
    /// The lines of `defaults`.
    defaults: Vec<Directive>,
}

impl Section {
    /// Lines of that name: those of the section, or else those of its `defaults`.
    fn lines(&self, words: &[&str]) -> Vec<&Directive> {
        let is = |line: &&Directive| begins(line, words);
        let own: Vec<&Directive> = self.lines.iter().filter(is).collect();
        match own.is_empty() {
            true => self.defaults.iter().filter(is).collect(),
            false => own,
        }
    }

    /// The argument behind these words, of the last such line.
    fn value(&self, words: &[&str]) -> Option<String> {
        let lines = self.lines(words);
        let line = lines.last()?;
        line.words.get(words.len()).cloned()
    }

    fn is_tcp(&self) -> bool {
        self.value(&["mode"]).as_deref() == Some("tcp")
    }
}

fn begins(line: &Directive, words: &[&str]) -> bool {
    line.words.len() >= words.len() && line.words.iter().zip(words).all(|(a, b)| a == b)
}

#[derive(Default)]
struct Reader {
    draft: Draft,
    sections: Vec<Section>,
    /// Whether any frontend chooses between backends: then the order of rules matters.
    crt_base: String,
}

impl Reader {
    fn all(&mut self) {
        let sections = std::mem::take(&mut self.sections);
        for section in sections.iter().filter(|section| section.kind == "global") {
            self.global(section);
        }
        let is_backend =
            |section: &&Section| ["backend", "listen"].contains(&section.kind.as_str());
        let backends: HashMap<String, Section> = sections
            .iter()
            .filter(is_backend)
            .map(|section| (section.name.clone(), section.clone()))
            .collect();
        for section in sections.iter().filter(is_backend) {
            backend::read(self, section);
        }
        for section in &sections {
            match section.kind.as_str() {
                "frontend" | "listen" => frontend::read(self, section, &backends),
                "global" | "backend" => {}
                "defaults" => self.leftovers(section, &[]),
                kind => {
                    let text = format!("`{kind} {}`: no counterpart", section.name);
                    self.draft.note(section.at, text);
                }
            }
        }
    }

    fn global(&mut self, section: &Section) {
        for line in &section.lines {
            match (line.name(), line.arg(0).parse::<u64>()) {
                ("maxconn", Ok(limit @ 1..)) => self.draft.process.set(&["max_connections"], limit),
                ("nbthread", Ok(threads @ 1..)) => self.draft.process.set(&["workers"], threads),
                ("crt-base", _) => self.crt_base = line.arg(0).to_owned(),
                ("log", _) => {
                    self.draft.access_log.set(&["path"], "stdout");
                    self.note(line, "these are lines of JSON, and no syslog");
                }
                (name, _) if UNNEEDED.contains(&name) || name.starts_with("tune.") => {}
                _ => self.note(line, "no counterpart"),
            }
        }
    }

    /// Tells of the lines of a section that nobody has read.
    fn leftovers(&mut self, section: &Section, read: &[&str]) {
        const BOTH: &[&str] = &[
            "mode",
            "timeout",
            "retries",
            "log",
            "default-server",
            "balance",
        ];
        for line in &section.lines {
            let name = line.name();
            let is_known = match name {
                "option" | "no" => {
                    let option = line.args().iter().find(|arg| *arg != "option");
                    let option = option.map_or("", String::as_str);
                    OPTIONS.contains(&option)
                        || option.ends_with("chk")
                        || option.ends_with("-check")
                }
                name => UNNEEDED.contains(&name) || BOTH.contains(&name) || read.contains(&name),
            };
            // `maxconn` of a frontend is read; in `defaults` it is that of frontends.
            let is_known = is_known || (section.kind == "defaults" && name == "maxconn");
            if !is_known {
                self.note(line, "no counterpart");
            }
        }
    }

    fn note(&mut self, line: &Directive, why: &str) {
        self.draft
            .note(line.at, format!("`{}`: {why}", line.text()));
    }
}

fn sections(lines: Vec<Directive>) -> Vec<Section> {
    const KINDS: &[&str] = &[
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "resolvers",
        "peers",
        "userlist",
        "mailers",
        "cache",
        "program",
        "http-errors",
        "ring",
        "log-forward",
        "fcgi-app",
        "crt-store",
        "traces",
    ];
    let mut sections: Vec<Section> = Vec::new();
    for line in lines {
        if KINDS.contains(&line.name()) && !(line.name() == "cache" && line.args().is_empty()) {
            sections.push(Section {
                at: line.at,
                kind: line.name().to_owned(),
                name: line.arg(0).to_owned(),
                more: line.args().iter().skip(1).cloned().collect(),
                ..Section::default()
            });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    inherit(&mut sections);
    sections
}

/// A section takes over the `defaults` that it names, or the last ones before it.
fn inherit(sections: &mut [Section]) {
    let mut last: Vec<Directive> = Vec::new();
    let mut named: HashMap<String, Vec<Directive>> = HashMap::new();
    for section in sections {
        let from = section.more.iter().position(|word| word == "from");
        let from = from.and_then(|place| section.more.get(place + 1));
        let above = from
            .and_then(|name| named.get(name))
            .unwrap_or(&last)
            .clone();
        if section.kind == "defaults" {
            let above = if from.is_some() { above } else { Vec::new() };
            last = section.lines.iter().cloned().chain(above).collect();
            named.insert(section.name.clone(), last.clone());
        } else {
            section.defaults = above;
        }
    }
}

/// A time as HAProxy writes it: milliseconds without a unit.
fn duration(text: &str) -> Option<String> {
    let is_bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let text = match is_bare {
        true => {
            let millis = std::time::Duration::from_millis(text.parse().ok()?);
            pointsman_config::value::format_duration(millis)
        }
        false => text.to_owned(),
    };
    pointsman_config::value::parse_duration(&text)
        .is_ok()
        .then_some(text)
}
