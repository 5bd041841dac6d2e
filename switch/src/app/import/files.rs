//! The foreign files: the one that is named, and those that it includes.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::draft::At;

/// Bytes of all files together at most.
const MAX_BYTES: u64 = 8 << 20;
/// Files at most.
const MAX_FILES: usize = 256;

#[derive(Debug)]
pub(super) struct Files {
    names: Vec<String>,
    main: String,
    folder: PathBuf,
    left: u64,
}

impl Files {
    /// # Errors
    /// The file cannot be read, or is too large. `-` is standard input.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut files = Self {
            names: vec![name],
            main: String::new(),
            folder,
            left: MAX_BYTES,
        };
        files.main = match path == Path::new("-") {
            true => files.text(&mut io::stdin())?,
            false => files.text(&mut std::fs::File::open(path)?)?,
        };
        Ok(files)
    }

    /// A text that includes nothing.
    #[cfg(test)]
    pub(super) fn of_text(name: &str, text: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            main: text.to_owned(),
            folder: PathBuf::from("/nonexistent"),
            left: 0,
        }
    }

    /// The text of the file that was named.
    pub(super) fn main(&mut self) -> String {
        std::mem::take(&mut self.main)
    }

    pub(super) fn name(&self, file: usize) -> &str {
        self.names.get(file).map_or("", String::as_str)
    }

    /// Where the file that was named lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `nginx.conf:12`.
    pub(super) fn place(&self, at: At) -> String {
        let name = Path::new(self.name(at.file)).file_name();
        let name = name.map(|name| name.to_string_lossy().replace(char::is_control, " "));
        format!("{}:{}", name.unwrap_or_default(), at.line)
    }

    /// The files that an `include` means, in order: each with its number and text. `*` stands for what is
    /// between slashes.
    pub(super) fn include(&mut self, pattern: &str) -> io::Result<Vec<(usize, String)>> {
        let path = self.folder.join(pattern);
        let mut found = Vec::new();
        for path in matching(&path)? {
            if self.names.len() >= MAX_FILES {
                break;
            }
            let text = self.text(&mut std::fs::File::open(&path)?)?;
            self.names.push(path.display().to_string());
            found.push((self.names.len() - 1, text));
        }
        Ok(found)
    }

    fn text(&mut self, reader: &mut dyn io::Read) -> io::Result<String> {
        let mut bytes = Vec::new();
        reader.take(self.left + 1).read_to_end(&mut bytes)?;
        let length = bytes.len() as u64;
        if length > self.left {
            return Err(io::Error::other("more than 8 MiB of files"));
        }
        self.left -= length;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn matching(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((before, after)) = name.split_once('*') else {
        return Ok(vec![path.to_owned()]);
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let rest = name.strip_prefix(before);
            !name.starts_with('.')
                && path.is_file()
                && rest.is_some_and(|rest| rest.ends_with(after))
        })
        .collect();
    found.sort();
    Ok(found)
}
