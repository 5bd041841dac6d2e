//! A file of backends. It is watched; where the system has no means for that it is looked at every
//! other second.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use pointsman_config::backends;
use pointsman_config::policy::Backend;
use tokio::sync::mpsc;

use super::{Source, Told};

/// From one look to the next without news: what a watch may miss, such as another host's changes.
const WATCHED: Duration = Duration::from_secs(10);
/// The same without a watch.
const UNWATCHED: Duration = Duration::from_secs(2);
/// Whoever writes in several steps is done within this time.
const SETTLE: Duration = Duration::from_millis(50);

/// A file that is read again when it changes.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    watch: Option<Watch>,
    /// What was told last.
    last: Option<Result<Vec<Backend>, String>>,
}

#[derive(Debug)]
struct Watch {
    _watcher: RecommendedWatcher,
    bell: mpsc::Receiver<()>,
}

impl File {
    /// The backends of this file.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            watch: None,
            last: None,
        }
    }

    async fn changed(&mut self) -> Result<Vec<Backend>, String> {
        loop {
            if self.last.is_some() {
                self.wait().await;
            }
            // The watch comes first: what changes while the file is read is seen later.
            if self.watch.is_none() {
                self.watch = watch(&self.path);
            }
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            let read = read.unwrap_or_else(|error| Err(error.to_string()));
            if self.last.as_ref() != Some(&read) {
                self.last = Some(read.clone());
                return read;
            }
        }
    }

    async fn wait(&mut self) {
        match &mut self.watch {
            Some(watch) => {
                let rung = tokio::time::timeout(WATCHED, watch.bell.recv()).await;
                if rung.is_ok() {
                    tokio::time::sleep(SETTLE).await;
                    while watch.bell.try_recv().is_ok() {}
                }
            }
            None => tokio::time::sleep(UNWATCHED).await,
        }
    }
}

impl Source for File {
    fn next(&mut self) -> Told<'_> {
        Box::pin(self.changed())
    }
}

fn read(path: &Path) -> Result<Vec<Backend>, String> {
    backends::read(path).map_err(|report| report.headline())
}

/// The folder is watched, as files are replaced rather than written. `None` where that cannot be.
fn watch(path: &Path) -> Option<Watch> {
    let name = path.file_name()?.to_owned();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let (ring, bell) = mpsc::channel(1);
    let concerns = move |event: &Event| {
        let is_it = |path: &PathBuf| {
            // A mounted Kubernetes ConfigMap changes by a new target of its link `..data`.
            path.file_name() == Some(&name) || path.ends_with("..data")
        };
        !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(is_it)
    };
    let handler = move |event: notify::Result<Event>| {
        if event.as_ref().is_ok_and(&concerns) {
            let _ = ring.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(handler).ok()?;
    let folder = folder.unwrap_or(Path::new("."));
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    Some(Watch {
        _watcher: watcher,
        bell,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn next(file: &mut File) -> Result<Vec<String>, String> {
        let told = tokio::time::timeout(PATIENCE, file.next()).await;
        let backends = told.expect("it tells something in time")?;
        Ok(backends.into_iter().map(|backend| backend.name).collect())
    }

    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, path).expect("renamed");
    }

    #[tokio::test]
    async fn a_file_is_read_when_it_is_replaced_and_mistakes_are_told_with_their_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.backends.toml");
        let mut file = File::new(path.clone());
        let missing = next(&mut file).await.expect_err("it is not there");
        assert!(missing.contains("app.backends.toml"), "{missing}");
        replace(&path, "backends = [\"10.0.0.1:80\"]");
        assert_eq!(next(&mut file).await, Ok(vec!["10.0.0.1:80".to_owned()]));
        replace(&path, "backends = [\n  \"10.0.0.1\",\n]");
        let wrong = next(&mut file).await.expect_err("it is wrong");
        assert!(wrong.contains("app.backends.toml:2:3: "), "{wrong}");
        assert!(
            wrong.contains("10.0.0.1:8080"),
            "the remedy is told: {wrong}"
        );
        replace(&path, "backends = []");
        assert_eq!(next(&mut file).await, Ok(Vec::new()));
        fs::write(&path, "backends = [\"10.0.0.2:80\"]").expect("written in place");
        assert_eq!(next(&mut file).await, Ok(vec!["10.0.0.2:80".to_owned()]));
    }

    #[tokio::test]
    async fn a_file_that_says_the_same_tells_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.backends.toml");
        replace(&path, "backends = [\"10.0.0.1:80\"]");
        let mut file = File::new(path.clone());
        assert!(next(&mut file).await.is_ok());
        replace(&path, "# a comment\nbackends = [\"10.0.0.1:80\"]");
        replace(&path, "backends = [\"10.0.0.3:80\"]");
        assert_eq!(next(&mut file).await, Ok(vec!["10.0.0.3:80".to_owned()]));
    }
}
