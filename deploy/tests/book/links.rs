//! Links of the pages lead somewhere, and the table of contents names every page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::pages::{Page, book, in_folder, root};

/// Pages beside the book.
const BESIDE: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "bench/README.md",
    "deploy/README.md",
    "deploy/debian/README.md",
    "deploy/policies/README.md",
    "docs/SUMMARY.md",
    "fuzz/README.md",
];

fn all_pages() -> Vec<Page> {
    let beside = BESIDE.iter().map(|name| Page::read(name));
    beside.chain(book()).collect()
}

#[test]
fn every_link_leads_to_a_file_and_an_anchor() {
    let pages = all_pages();
    let anchors: BTreeMap<&str, BTreeSet<String>> = pages
        .iter()
        .map(|page| (page.name.as_str(), anchors(page)))
        .collect();
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for page in &pages {
        for (line, link) in links(page) {
            looked_at += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.name.clone(),
                path => beside(&page.name, path),
            };
            let known = anchors.get(target.as_str());
            let place = format!("{}:{line}: {link}", page.name);
            if !root().join(&target).exists() {
                wrong.push(format!("{place}: there is no {target}"));
            } else if !anchor.is_empty() && !known.is_some_and(|known| known.contains(anchor)) {
                wrong.push(format!("{place}: no heading of {target} makes this anchor"));
            }
        }
    }
    assert!(looked_at > 150, "{looked_at}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn links_of_the_book_stay_in_the_book() {
    for page in book() {
        for (line, link) in links(&page) {
            let (path, _) = link.split_once('#').unwrap_or((link, ""));
            let target = beside(&page.name, path);
            let inside = path.is_empty() || target.starts_with("docs/");
            assert!(inside, "{}:{line}: {link} is not in the book", page.name);
        }
    }
}

#[test]
fn the_table_of_contents_names_every_page_once() {
    let contents = Page::read("docs/SUMMARY.md");
    let mut named: Vec<String> = links(&contents)
        .iter()
        .map(|(_, link)| beside(&contents.name, link))
        .collect();
    named.sort();
    let mut pages: Vec<String> = book().into_iter().map(|page| page.name).collect();
    pages.sort();
    assert_eq!(named, pages);
}

#[test]
fn no_folder_of_pages_is_forgotten() {
    let folders = std::fs::read_dir(root().join("docs")).unwrap();
    for folder in folders
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
    {
        let name = format!("docs/{}", folder.file_name().to_str().unwrap());
        for page in in_folder(&name) {
            let known = book().iter().any(|known| known.name == page.name);
            assert!(known, "{}: add {name} to `book()`", page.name);
        }
    }
}

#[test]
fn every_file_that_the_pages_name_is_there() {
    let mut missing = Vec::new();
    // Fuzzing makes folders of its own.
    for page in all_pages()
        .iter()
        .filter(|page| page.name != "fuzz/README.md")
    {
        // There the reader makes files, too.
        let of_readers = page.name.contains("/howto/")
            || page.name.contains("/migrate/")
            || page.name == "docs/start.md";
        let text: String = page
            .prose()
            .iter()
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        for path in named_paths(&text).filter(|path| !of_readers || path.contains('/')) {
            let beside = root().join(&page.name).with_file_name(path);
            if !beside.exists() && !places().iter().any(|place| place.join(path).exists()) {
                missing.push(format!("{}: {path}", page.name));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Where a path in a page may begin.
fn places() -> [PathBuf; 4] {
    ["", "switch/src", "config/src", "backend/src"].map(|place| root().join(place))
}

/// What stands in backticks and looks like a file or folder of the project.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|word| {
        let plain = word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
        let is_file = [".rs", ".md", ".toml", ".json"]
            .iter()
            .any(|end| word.ends_with(end));
        let is_folder = word.ends_with('/');
        plain
            && !word.starts_with(['/', '.', '-'])
            && (is_folder || is_file)
            && *word != "pointsman.toml"
    })
}

/// The links of a page that lead to files, each with its line.
fn links(page: &Page) -> Vec<(usize, &str)> {
    let mut all = Vec::new();
    for (line, text) in page.prose() {
        let text = text.trim_start();
        let definition = text
            .starts_with('[')
            .then(|| text.split_once("]: "))
            .flatten();
        let inline = text.split("](").skip(1);
        let inline = inline.filter_map(|rest| rest.split(')').next());
        let found = inline.chain(definition.map(|(_, target)| target));
        all.extend(
            found
                .filter(|link| !link.contains("://"))
                .map(|link| (line, link)),
        );
    }
    all
}

/// A path that is written in a page, from the root on.
fn beside(page: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let folder = Path::new(page).parent().unwrap();
    for part in folder.components().chain(Path::new(path).components()) {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => parts.push(name.to_str().unwrap()),
            _ => {}
        }
    }
    parts.join("/")
}

/// The anchors that a page's headings make, on forges and in the book alike.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (_, line) in page.prose() {
        if let Some(file) = line.strip_prefix("{{#include ") {
            let file = file.split([':', '}']).next().unwrap();
            all.extend(anchors(&Page::read(&beside(&page.name, file))));
        }
        let marks = line.chars().take_while(|letter| *letter == '#').count();
        if !(1..=6).contains(&marks) || !line[marks..].starts_with(' ') {
            continue;
        }
        let plain = slug(line[marks..].trim());
        let again = (1..).map(|count| format!("{plain}-{count}"));
        let mut names = std::iter::once(plain.clone()).chain(again);
        all.insert(names.find(|name| !all.contains(name)).unwrap());
    }
    all
}

fn slug(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    let lower = heading.to_lowercase();
    lower
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn a_path_is_told_from_other_words() {
    let text = "See `data/l7/mod.rs`, `sys/`, [this](docs/x.md), `cargo test`, `/metrics`, `a/b`.";
    let found: Vec<&str> = named_paths(text).collect();
    assert_eq!(found, ["data/l7/mod.rs", "sys/"]);
}

#[test]
fn links_and_anchors_are_found() {
    let page = Page {
        name: "docs/howto/x.md".to_owned(),
        text: "# One `two` (three)\n## A\n## A\n[a](../y.md#a) ![b](b.webp) [c](https://c)\n\
               [d]: ../../SECURITY.md\n```text\n[no](no.md)\n# no\n```\n"
            .to_owned(),
    };
    let found: Vec<&str> = links(&page).iter().map(|(_, link)| *link).collect();
    assert_eq!(found, ["../y.md#a", "b.webp", "../../SECURITY.md"]);
    assert_eq!(beside(&page.name, "../../SECURITY.md"), "SECURITY.md");
    let headings: Vec<String> = anchors(&page).into_iter().collect();
    assert_eq!(headings, ["a", "a-1", "one-two-three"]);
}
