//! Watches the policy's files. Editors replace a file rather than write it, so the folders are
//! watched and not the files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// An editor's steps follow each other within this time.
const SETTLE: Duration = Duration::from_millis(150);

/// What a policy was made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// Folders of which every file that fits is read.
    pub folders: Vec<PathBuf>,
}

/// Watches files. The watch ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    notify: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    files: HashSet<PathBuf>,
    folders: HashSet<PathBuf>,
}

impl Watcher {
    /// Watches these from now on, beside those before: a file that is no longer included costs a
    /// needless reload at most.
    pub fn follow(&mut self, sources: &Sources) {
        for file in &sources.files {
            let Some(file) = absolute(file) else { continue };
            let folder = file.parent().map(Path::to_owned);
            self.known().files.insert(file);
            if let Some(folder) = folder {
                self.watch(folder);
            }
        }
        for folder in &sources.folders {
            let Ok(folder) = folder.canonicalize() else {
                continue;
            };
            self.known().folders.insert(folder.clone());
            self.watch(folder);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&mut self, folder: PathBuf) {
        if self.watched.contains(&folder) {
            return;
        }
        match self.notify.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.watched.insert(folder)),
            Err(error) => tracing::warn!("{} is not watched: {error}", folder.display()),
        }
    }
}

/// Watches these, and tells of each change once. `None` when the system has no means for it, which is
/// logged.
pub fn start(sources: &Sources, tell: impl Fn() + Send + 'static) -> Option<Watcher> {
    let known = Arc::<Mutex<Known>>::default();
    let (bell, mut changed) = mpsc::channel(1);
    let shared = known.clone();
    let handler = move |event: notify::Result<Event>| {
        let known = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if event.is_ok_and(|event| concerns(&event, &known)) {
            let _ = bell.try_send(());
        }
    };
    let mut watcher = match notify::recommended_watcher(handler) {
        Ok(notify) => Watcher {
            notify,
            watched: HashSet::new(),
            known,
        },
        Err(error) => {
            tracing::warn!("files are not watched: {error}");
            return None;
        }
    };
    watcher.follow(sources);
    tokio::spawn(async move {
        while changed.recv().await.is_some() {
            tokio::time::sleep(SETTLE).await;
            // What rang during the pause belongs to the same change.
            while changed.try_recv().is_ok() {}
            tell();
        }
    });
    Some(watcher)
}

fn concerns(event: &Event, known: &Known) -> bool {
    !matches!(event.kind, EventKind::Access(_))
        && event.paths.iter().any(|path| {
            // A mounted Kubernetes ConfigMap changes by a new target of its link `..data`.
            known.files.contains(path) || path.ends_with("..data") || is_new(path, known)
        })
}

/// A file in a folder that is included, unless it is one of those that editors put beside theirs.
fn is_new(path: &Path, known: &Known) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let included = path
        .parent()
        .is_some_and(|folder| known.folders.contains(folder));
    included && !name.starts_with(['.', '#']) && !name.ends_with('~')
}

fn absolute(file: &Path) -> Option<PathBuf> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
    Some(folder.join(file.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::reload;

    fn files(file: &Path) -> Sources {
        Sources {
            files: vec![file.to_owned()],
            folders: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_as_editors_do_asks_for_one_reload() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pointsman.toml");
        std::fs::write(&file, "a").expect("written");
        let (reloads, mut requests) = reload::channel();
        let watcher =
            start(&files(&file), move || reloads.ask("a test")).expect("files can be watched");
        let new = folder.path().join(".pointsman.toml.swp");
        std::fs::write(&new, "b").expect("written");
        std::fs::rename(&new, &file).expect("renamed");
        let wait = Duration::from_secs(5);
        let first = tokio::time::timeout(wait, requests.next()).await;
        assert!(first.expect("a request in time").is_some());
        let second = tokio::time::timeout(SETTLE * 3, requests.next()).await;
        assert!(second.is_err(), "one change, one reload");
        drop(watcher);
    }

    #[tokio::test]
    async fn other_files_in_the_folder_ask_for_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pointsman.toml");
        std::fs::write(&file, "a").expect("written");
        let (reloads, mut requests) = reload::channel();
        let watcher =
            start(&files(&file), move || reloads.ask("a test")).expect("files can be watched");
        std::fs::write(folder.path().join("other.toml"), "b").expect("written");
        let got = tokio::time::timeout(SETTLE * 4, requests.next()).await;
        assert!(got.is_err());
        drop(watcher);
    }

    #[tokio::test]
    async fn a_new_file_in_an_included_folder_asks_for_a_reload() {
        let folder = tempfile::tempdir().expect("a folder");
        let (reloads, mut requests) = reload::channel();
        let sources = Sources {
            files: Vec::new(),
            folders: vec![folder.path().to_owned()],
        };
        let watcher = start(&sources, move || reloads.ask("a test")).expect("files can be watched");
        std::fs::write(folder.path().join(".new.toml.swp"), "a").expect("written");
        let nothing = tokio::time::timeout(SETTLE * 3, requests.next()).await;
        assert!(nothing.is_err(), "an editor's own file is none of ours");
        std::fs::write(folder.path().join("new.toml"), "a").expect("written");
        let asked = tokio::time::timeout(Duration::from_secs(5), requests.next()).await;
        assert!(asked.expect("a request in time").is_some());
        drop(watcher);
    }
}
