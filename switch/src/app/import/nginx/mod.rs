//! nginx: `http` with its upstreams, servers and locations, and `stream`.

mod backends;
mod lex;
mod location;
mod scope;
mod server;
mod upstream;
mod value;

use std::collections::HashMap;

use self::scope::Scope;
use self::server::Server;
use super::draft::{Draft, Note};
use super::files::Files;
use super::tree::Directive;

/// What tunes nginx itself: Pointsman needs no word about it.
const UNNEEDED: &[&str] = &[
    "charset",
    "client_body_buffer_size",
    "client_body_timeout",
    "client_header_buffer_size",
    "default_type",
    "events",
    "ignore_invalid_headers",
    "keepalive",
    "keepalive_requests",
    "keepalive_time",
    "large_client_header_buffers",
    "load_module",
    "log_format",
    "pcre_jit",
    "pid",
    "proxy_buffer_size",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_headers_hash_bucket_size",
    "proxy_headers_hash_max_size",
    "proxy_http_version",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_send_timeout",
    "proxy_socket_keepalive",
    "reset_timedout_connection",
    "resolver",
    "resolver_timeout",
    "send_timeout",
    "sendfile",
    "server_names_hash_bucket_size",
    "server_names_hash_max_size",
    "server_tokens",
    "ssl_buffer_size",
    "ssl_ciphers",
    "ssl_dhparam",
    "ssl_ecdh_curve",
    "ssl_prefer_server_ciphers",
    "ssl_protocols",
    "ssl_session_cache",
    "ssl_session_tickets",
    "ssl_session_timeout",
    "tcp_nodelay",
    "tcp_nopush",
    "types",
    "types_hash_bucket_size",
    "types_hash_max_size",
    "underscores_in_headers",
    "user",
    "variables_hash_bucket_size",
    "variables_hash_max_size",
    "worker_connections",
    "worker_cpu_affinity",
    "worker_priority",
    "worker_rlimit_nofile",
    "worker_shutdown_timeout",
    "zone",
    "http2",
    "error_log",
    "daemon",
    "scgi_temp_path",
    "uwsgi_temp_path",
    "fastcgi_temp_path",
    "proxy_temp_path",
    "client_body_temp_path",
    "master_process",
    "log_not_found",
];

/// How often files may include each other.
const MAX_INCLUDES: usize = 8;

pub(super) fn read(files: &mut Files) -> Draft {
    let text = files.main();
    let mut reader = Reader {
        folder: files.folder().to_owned(),
        ..Reader::default()
    };
    let parsed = lex::directives(&text, 0);
    let parsed = reader.with_includes(parsed, files, 0);
    reader.gather(&parsed, &Scope::default(), false);
    reader.finish()
}

/// What is known of a configuration so far.
#[derive(Default)]
struct Reader {
    draft: Draft,
    /// Where relative paths start.
    folder: std::path::PathBuf,
    /// `limit_req_zone`: the rate of a zone.
    rates: HashMap<String, String>,
    /// `split_clients`: the variable, and shares of values.
    splits: HashMap<String, Vec<(u64, String)>>,
    servers: Vec<Server>,
}

impl Reader {
    /// Puts what is included in the place of the `include`.
    fn with_includes(
        &mut self,
        directives: Vec<Directive>,
        files: &mut Files,
        depth: usize,
    ) -> Vec<Directive> {
        let mut all = Vec::new();
        for mut directive in directives {
            if let Some(block) = directive.block.take() {
                directive.block = Some(self.with_includes(block, files, depth));
            }
            if directive.name() != "include" {
                all.push(directive);
                continue;
            }
            // Types of files concern nobody who serves none.
            if directive.arg(0).ends_with("mime.types") {
                continue;
            }
            match files.include(directive.arg(0)) {
                Ok(found) if depth < MAX_INCLUDES => {
                    for (file, text) in found {
                        let included = lex::directives(&text, file);
                        all.extend(self.with_includes(included, files, depth + 1));
                    }
                }
                Ok(_) => self.note(&directive, "files include each other too often"),
                Err(error) => self.note(&directive, &format!("not read: {error}")),
            }
        }
        all
    }

    /// The main context, `http` and `stream`; a file of `sites-available` begins with what is in `http`.
    fn gather(&mut self, directives: &[Directive], above: &Scope, is_stream: bool) {
        let mut scope = above.clone();
        scope.enter(directives);
        for directive in directives {
            self.prepare(directive, &mut scope, is_stream);
        }
        for directive in directives {
            match directive.name() {
                "server" if directive.block.is_some() => {
                    self.servers
                        .push(Server::read(directive, &scope, is_stream));
                }
                "http" => self.gather(directive.block(), &scope, false),
                "stream" => self.gather(directive.block(), &scope, true),
                _ => {}
            }
        }
    }

    /// What servers refer to, and what they take over.
    fn prepare(&mut self, directive: &Directive, scope: &mut Scope, is_stream: bool) {
        match directive.name() {
            "server" | "http" | "stream" => {}
            "upstream" => upstream::read(&mut self.draft, directive, is_stream),
            "limit_req_zone" => self.zone(directive),
            "split_clients" => self.split(directive),
            "worker_processes" => {
                if let Ok(workers @ 1..) = directive.arg(0).parse::<u64>() {
                    self.draft.process.set(&["workers"], workers);
                }
            }
            "access_log" => self.access_log(directive),
            _ if scope.take(directive, &self.rates, &mut self.draft.notes) => {}
            name if UNNEEDED.contains(&name) => {}
            _ => self.note(directive, "no counterpart"),
        }
    }

    fn finish(mut self) -> Draft {
        let servers = std::mem::take(&mut self.servers);
        server::all(&mut self, servers);
        self.draft
    }

    fn zone(&mut self, directive: &Directive) {
        let args = directive.args();
        let zone = args.iter().find_map(|arg| arg.strip_prefix("zone="));
        let rate = args.iter().find_map(|arg| arg.strip_prefix("rate="));
        let by_client = ["$binary_remote_addr", "$remote_addr"].contains(&directive.arg(0));
        match (zone, rate.and_then(value::rate)) {
            (Some(zone), Some(rate)) if by_client => {
                let name = zone.split(':').next().unwrap_or_default();
                self.rates.insert(name.to_owned(), rate);
            }
            _ => self.note(
                directive,
                "only rates of clients' addresses are carried over",
            ),
        }
    }

    fn split(&mut self, directive: &Directive) {
        let mut shares = Vec::new();
        let mut left = 10_000;
        for line in directive.block() {
            let share = match line.name().strip_suffix('%').map(str::parse::<f64>) {
                Some(Ok(percent)) if (0.0..=100.0).contains(&percent) => (percent * 100.0) as u64,
                _ => left,
            };
            left = left.saturating_sub(share);
            shares.push((share, line.arg(0).to_owned()));
        }
        self.splits.insert(directive.arg(1).to_owned(), shares);
    }

    fn access_log(&mut self, directive: &Directive) {
        match directive.arg(0) {
            "off" | "" => {}
            path => {
                let text = format!("nginx wrote its own format to {path}; these are lines of JSON");
                self.draft.access_log.set(&["path"], "stdout");
                self.draft.note(directive.at, text);
            }
        }
    }

    fn note(&mut self, directive: &Directive, why: &str) {
        let text = format!("`{}`: {why}", directive.text());
        self.draft.notes.push(Note::new(directive.at, text));
    }
}
