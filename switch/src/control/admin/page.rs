//! The dashboard's files, which are part of the program. `switch/ui/` holds them as they are served.

use std::hash::BuildHasher as _;

use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::content::{Answer, Content};

/// Path, type and content.
type File = (&'static str, &'static str, &'static [u8]);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal $kind:ident $file:literal)*) => {
        &[$(($path, $kind, include_bytes!(concat!("../../../ui/", $file)))),*]
    };
}

static FILES: &[File] = files! {
    "/" HTML "index.html"
    "/ui/style.css" CSS "style.css"
    "/ui/icon.svg" SVG "icon.svg"
    "/ui/main.js" JS "main.js"
    "/ui/api.js" JS "api.js"
    "/ui/model.js" JS "model.js"
    "/ui/dom.js" JS "dom.js"
    "/ui/words.js" JS "words.js"
    "/ui/chart.js" JS "chart.js"
    "/ui/table.js" JS "table.js"
    "/ui/act.js" JS "act.js"
    "/ui/pages/map.js" JS "pages/map.js"
    "/ui/pages/line.js" JS "pages/line.js"
    "/ui/pages/wires.js" JS "pages/wires.js"
    "/ui/pages/pool.js" JS "pages/pool.js"
    "/ui/pages/backend.js" JS "pages/backend.js"
    "/ui/pages/contact.js" JS "pages/contact.js"
    "/ui/pages/events.js" JS "pages/events.js"
    "/ui/pages/policy.js" JS "pages/policy.js"
    "/ui/pages/explain.js" JS "pages/explain.js"
    "/ui/uplot/uPlot.js" JS "uplot/uPlot.iife.min.js"
    "/ui/uplot/uPlot.css" CSS "uplot/uPlot.min.css"
    "/ui/uplot/LICENSE" PLAIN "uplot/LICENSE"
};

/// Nothing but these files and the admin interface itself; no script and no style within the page;
/// no other page around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Whether there is a file for the path.
pub(super) fn is_one(path: &str) -> bool {
    file(path).is_some()
}

/// The file, or that it is the one that the browser has. `path` is that of a file.
pub(super) fn answer(path: &str, fields: &HeaderMap) -> Answer {
    let (_, kind, content) = file(path).unwrap_or(&FILES[0]);
    let tag = tag(content);
    let known = fields.get(IF_NONE_MATCH).is_some_and(|known| *known == tag);
    let mut answer = Answer::new(Content::bytes(if known { &[] } else { content }));
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(ETAG, tag);
    let fixed = [
        (CONTENT_TYPE, *kind),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let other_sites = HeaderValue::from_static("same-origin");
    headers.insert("cross-origin-resource-policy", other_sites.clone());
    headers.insert("cross-origin-opener-policy", other_sites);
    answer
}

fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|(own, ..)| *own == path)
}

fn tag(content: &[u8]) -> HeaderValue {
    let hash = foldhash::quality::FixedState::with_seed(0).hash_one(content);
    let tag = format!("\"{hash:016x}\"");
    HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
        let text =
            |(path, _, content): &File| (*path, std::str::from_utf8(content).expect("UTF-8"));
        FILES.iter().map(text)
    }

    #[test]
    fn the_page_is_small() {
        let all: usize = FILES.iter().map(|(.., content)| content.len()).sum();
        assert!(all < 150_000, "{all} bytes");
    }

    #[test]
    fn every_file_that_the_page_names_is_there_and_nothing_else_is_fetched() {
        let own = |path: &&str| !path.starts_with("/ui/uplot/");
        for (path, text) in texts().filter(|(path, _)| own(path)) {
            let quoted = text.split(['"', '\'']).skip(1).step_by(2);
            for named in quoted.filter(|one| one.starts_with("/ui/")) {
                assert!(is_one(named), "{path} names {named}");
            }
            let imports = text.split("from '").skip(1);
            for named in imports.filter_map(|rest| rest.split('\'').next()) {
                let (folder, _) = path.rsplit_once('/').expect("a path");
                let named = match named.strip_prefix("../") {
                    Some(above) => format!("/ui/{above}"),
                    None => format!("{folder}/{}", named.trim_start_matches("./")),
                };
                assert!(is_one(&named), "{path} imports {named}");
            }
            // A namespace and an example are names, and nothing is fetched from there.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            let text = text.replace("http://shop.example.com", "");
            assert!(
                !text.contains("http://") && !text.contains("https://"),
                "{path}"
            );
        }
    }

    #[test]
    fn data_never_becomes_markup() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ];
        for (path, text) in texts() {
            let found = forbidden.iter().find(|word| text.contains(**word));
            assert_eq!(found, None, "{path}");
        }
        let (_, html) = texts().next().expect("the page");
        assert!(!html.contains("<style") && !html.contains(" style=") && !html.contains(" on"));
        assert!(!html.contains("<script>"));
    }

    #[test]
    fn a_browser_that_has_the_file_is_not_sent_it_again() {
        let mut fields = HeaderMap::new();
        let first = answer("/ui/main.js", &fields);
        assert_eq!(first.status(), 200);
        fields.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(answer("/ui/main.js", &fields).status(), 304);
        assert_eq!(answer("/ui/model.js", &fields).status(), 200);
    }
}
