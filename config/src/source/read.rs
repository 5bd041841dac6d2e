use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest policy file that is read, in bytes.
pub(crate) const MAX_POLICY_BYTES: u64 = 4 * 1024 * 1024;

/// Reads a text file of at most `limit` bytes. Whatever is wrong with it comes as one sentence;
/// never more than `limit` bytes are held.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    let file = File::open(path).map_err(|error| trouble(path, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(format!("{} is a folder, not a file", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| trouble(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(format!(
            "{} is larger than {} KiB",
            path.display(),
            limit / 1024
        ));
    }
    text_of(path, bytes)
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, String> {
    if bytes.contains(&0) {
        return Err(format!(
            "{} is not a text file: it holds a zero byte",
            path.display()
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!(
            "{} is not a UTF-8 text file: line {line} is malformed",
            path.display()
        )
    })
}

fn trouble(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {}", path.display()),
        io::ErrorKind::PermissionDenied => {
            format!("{} may not be read by this user", path.display())
        }
        _ => format!("{} cannot be read: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, "x".repeat(4097)).unwrap();
        assert!(
            read_text(&path, 4096)
                .unwrap_err()
                .ends_with("is larger than 4 KiB")
        );
        assert_eq!(read_text(&path, 4097).unwrap().len(), 4097);
    }

    #[test]
    fn an_endless_device_is_refused_like_a_large_file() {
        assert!(
            read_text(Path::new("/dev/zero"), 4096)
                .unwrap_err()
                .contains("larger than")
        );
    }

    #[test]
    fn folders_missing_and_binary_files_get_their_own_words() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            read_text(folder.path(), 9)
                .unwrap_err()
                .contains("is a folder")
        );
        let missing = folder.path().join("missing");
        assert!(
            read_text(&missing, 9)
                .unwrap_err()
                .contains("there is no file")
        );
        let binary = folder.path().join("binary");
        std::fs::write(&binary, b"a\0b").unwrap();
        assert!(read_text(&binary, 9).unwrap_err().contains("zero byte"));
        std::fs::write(&binary, b"a\nb\xff").unwrap();
        assert!(
            read_text(&binary, 9)
                .unwrap_err()
                .contains("line 2 is malformed")
        );
    }
}
