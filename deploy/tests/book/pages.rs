//! The pages, and the blocks of code in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::marks::Marks;

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A page of the book, or one beside it.
pub struct Page {
    /// From the root on, such as `docs/howto/tls.md`.
    pub name: String,
    pub text: String,
}

/// A block of code.
pub struct Block {
    /// The number of its first line of code.
    pub line: usize,
    /// What it is, such as `toml`.
    pub language: String,
    pub text: String,
    pub marks: Marks,
}

impl Page {
    pub fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name));
        let text = text.unwrap_or_else(|why| panic!("{name}: {why}"));
        Self {
            name: name.to_owned(),
            text,
        }
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut marks = Marks::default();
        let mut lines = self.text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let code = lines.by_ref().map(|(_, line)| line);
                let code = code.take_while(|line| line.trim() != "```");
                blocks.push(Block {
                    line: at + 2,
                    language: language.to_owned(),
                    text: code.map(|line| format!("{line}\n")).collect(),
                    marks: std::mem::take(&mut marks),
                });
            } else if let Some(said) = comment(line) {
                marks.add(said).unwrap_or_else(|why| {
                    panic!("{}:{}: {why}", self.name, at + 1);
                });
            } else if !line.trim().is_empty() {
                marks = Marks::default();
            }
        }
        blocks
    }

    /// Programs that the page's commands need, as `<!-- needs: PROGRAM -->` says.
    pub fn needs(&self) -> Vec<String> {
        let lines = self.text.lines().filter_map(comment);
        let needs = lines.filter_map(|said| said.strip_prefix("needs:"));
        needs
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    }

    /// The text without code and comments: each line with its number.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let lines = self.text.lines().enumerate().filter(move |(_, line)| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !fence && !inside && comment(line).is_none()
        });
        lines.map(|(at, line)| (at + 1, line)).collect()
    }
}

/// What a line that is a comment says.
fn comment(line: &str) -> Option<&str> {
    let said = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(said.trim())
}

/// The pages of the book, in the order of their names.
pub fn book() -> Vec<Page> {
    let folders = ["docs", "docs/howto", "docs/migrate"];
    let mut pages: Vec<Page> = folders
        .iter()
        .flat_map(|folder| in_folder(folder))
        .collect();
    pages.retain(|page| page.name != "docs/SUMMARY.md");
    assert!(pages.len() > 25, "{}", pages.len());
    pages
}

/// The start page and the how-tos: all of their commands are typed.
pub fn to_type() -> Vec<Page> {
    let mut pages = in_folder("docs/howto");
    pages.insert(0, Page::read("docs/start.md"));
    pages
}

/// The pages of a folder.
pub fn in_folder(folder: &str) -> Vec<Page> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    names
        .iter()
        .map(|name| Page::read(&format!("{folder}/{name}")))
        .collect()
}
