//! Watches the policy's files. Editors replace a file rather than write it, so the folders are
//! watched and not the files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::reload::Reloads;

/// An editor's steps follow each other within this time.
const SETTLE: Duration = Duration::from_millis(150);

/// Watches files. The watch ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    notify: RecommendedWatcher,
    folders: HashSet<PathBuf>,
    files: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Watcher {
    /// Watches these files from now on, beside those before: a file that is no longer included
    /// costs a needless reload at most.
    pub fn follow(&mut self, files: &[PathBuf]) {
        for file in files {
            let Some(absolute) = absolute(file) else {
                continue;
            };
            let Some(folder) = absolute.parent().map(Path::to_owned) else {
                continue;
            };
            self.files
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(absolute);
            if self.folders.contains(&folder) {
                continue;
            }
            match self.notify.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder)),
                Err(error) => tracing::warn!("{} is not watched: {error}", folder.display()),
            }
        }
    }
}

/// Watches these files; each change asks for one reload. `None` when the system has no means for
/// it, which is logged.
pub fn start(files: Vec<PathBuf>, reloads: Reloads) -> Option<Watcher> {
    let names = Arc::new(Mutex::new(HashSet::new()));
    let (bell, mut changed) = mpsc::channel(1);
    let known = names.clone();
    let handler = move |event: notify::Result<Event>| {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if event.is_ok_and(|event| concerns(&event, &known)) {
            let _ = bell.try_send(());
        }
    };
    let mut watcher = match notify::recommended_watcher(handler) {
        Ok(notify) => Watcher {
            notify,
            folders: HashSet::new(),
            files: names,
        },
        Err(error) => {
            tracing::warn!("files are not watched: {error}");
            return None;
        }
    };
    watcher.follow(&files);
    tokio::spawn(async move {
        while changed.recv().await.is_some() {
            tokio::time::sleep(SETTLE).await;
            // What rang during the pause belongs to the same change.
            while changed.try_recv().is_ok() {}
            reloads.ask("a file has changed");
        }
    });
    Some(watcher)
}

fn concerns(event: &Event, files: &HashSet<PathBuf>) -> bool {
    // A mounted Kubernetes ConfigMap changes by a new target of its link `..data`.
    let concerns = |path: &PathBuf| files.contains(path) || path.ends_with("..data");
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(concerns)
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

    #[tokio::test]
    async fn a_file_that_is_replaced_as_editors_do_asks_for_one_reload() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pointsman.toml");
        std::fs::write(&file, "a").expect("written");
        let (reloads, mut requests) = reload::channel();
        let watcher = start(vec![file.clone()], reloads).expect("files can be watched");
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
        let watcher = start(vec![file], reloads).expect("files can be watched");
        std::fs::write(folder.path().join("other.toml"), "b").expect("written");
        let got = tokio::time::timeout(SETTLE * 4, requests.next()).await;
        assert!(got.is_err());
        drop(watcher);
    }
}
