use std::io;
use std::path::{Path, PathBuf};

/// `[listener.NAME.tls]`; all files are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificates with their keys. Clients that name no host, or one that no certificate has, get
    /// the first.
    pub certs: Vec<TlsFiles>,
    /// A folder of more of them.
    pub folder: Option<PathBuf>,
    /// Whose certificates clients show, if they are asked for any.
    pub clients: Option<TlsClients>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// The certificate chain, the leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[listener.NAME.tls.clients]`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsClients {
    /// The authorities whose certificates are accepted.
    pub ca: PathBuf,
    /// Lists of revoked certificates.
    pub crl: Vec<PathBuf>,
    /// Clients without a certificate are served, too.
    pub optional: bool,
}

/// `pool.tls`: how backends are spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolTls {
    /// The authorities of their certificates; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The host that they are asked for and that their certificates are for; `None`: as they are
    /// written, by name or by address.
    pub name: Option<String>,
    /// Whether their certificates are verified.
    pub verify: bool,
    /// What is shown to those that ask for a certificate.
    pub own: Option<TlsFiles>,
}

/// Endings of certificates' files in a folder.
const CERTS: [&str; 3] = ["pem", "crt", "cer"];

/// What certificate and key are called in a folder of their own: by certbot and lego, and in the
/// volumes of Kubernetes.
const PAIRS: [(&str, &str); 2] = [("fullchain.pem", "privkey.pem"), ("tls.crt", "tls.key")];

impl Tls {
    /// All certificates and keys: those that are named, then those of the folder in the order of
    /// their names. Reads the folder, and no file.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn files(&self) -> io::Result<Vec<TlsFiles>> {
        let mut files = self.certs.clone();
        if let Some(folder) = &self.folder {
            let entries = folder.read_dir()?;
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
            paths.sort();
            files.extend(paths.iter().filter_map(|path| pair(path)));
        }
        Ok(files)
    }
}

fn pair(path: &Path) -> Option<TlsFiles> {
    if path.file_name()?.to_str()?.starts_with('.') {
        return None;
    }
    if path.is_dir() {
        let pairs = PAIRS.map(|(cert, key)| TlsFiles {
            cert: path.join(cert),
            key: path.join(key),
        });
        return pairs.into_iter().find(|files| files.cert.exists());
    }
    if !CERTS.contains(&path.extension()?.to_str()?) {
        return None;
    }
    let key = path.with_extension("key");
    Some(TlsFiles {
        cert: path.to_owned(),
        key: if key.exists() { key } else { path.to_owned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_certificates_with_their_keys_as_the_usual_programs_write_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, "").expect("written");
        };
        let names = [
            "b.crt",
            "b.key",
            "a.pem",
            "c/fullchain.pem",
            "c/privkey.pem",
            "d/tls.crt",
            "d/tls.key",
            "..data/tls.crt",
            ".b.crt.swp",
            "README",
            "e/other",
        ];
        names.into_iter().for_each(write);
        let tls = Tls {
            certs: Vec::new(),
            folder: Some(folder.path().to_owned()),
            clients: None,
        };
        let shown = |path: PathBuf| {
            let path = path.strip_prefix(folder.path()).expect("in the folder");
            path.display().to_string()
        };
        let found = tls.files().expect("it can be read").into_iter();
        let found: Vec<_> = found.map(|one| (shown(one.cert), shown(one.key))).collect();
        let expected = [
            ("a.pem", "a.pem"),
            ("b.crt", "b.key"),
            ("c/fullchain.pem", "c/privkey.pem"),
            ("d/tls.crt", "d/tls.key"),
        ];
        assert_eq!(
            found,
            expected.map(|(cert, key)| (cert.to_owned(), key.to_owned()))
        );
    }
}
