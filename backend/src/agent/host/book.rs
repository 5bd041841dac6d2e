//! What agents have changed on this host, and for whom: a file that outlives them, so that whatever
//! becomes of an agent, the next one knows what to take back. Agents of several servers share it: a
//! change stays until nobody needs it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::change::Change;

/// Bytes that are read at most.
const MAX_BYTES: u64 = 1 << 20;

/// What an agent that has died has left waits so long for it to come back, but for that agent itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// An agent's process: another one of the same number has started at another time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Holder {
    /// Of which server: the same one when it comes back.
    agent: String,
    /// Its number.
    pid: u32,
    /// When it started, in ticks since the system did (proc_pid_stat(5), field 22).
    started: u64,
}

impl Holder {
    /// This process, as the agent of this server.
    pub(super) fn own(agent: &str) -> io::Result<Self> {
        let pid = std::process::id();
        let started =
            started(pid).ok_or_else(|| io::Error::other("/proc/self/stat tells nothing"))?;
        let agent = agent.to_owned();
        Ok(Self {
            agent,
            pid,
            started,
        })
    }

    fn lives(&self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = rest.next()?;
    let started = rest.nth(18)?.parse().ok()?;
    // One that has ended holds nothing, though its parent has not heard of it.
    (state != "Z" && state != "X").then_some(started)
}

/// A change, and who needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    change: Change,
    holders: Vec<Holder>,
}

/// The book of one network namespace.
#[derive(Debug)]
pub(super) struct Book {
    path: PathBuf,
    /// Who was found dead, and when.
    dead: RefCell<HashMap<Holder, Instant>>,
}

/// The book while nobody else may write in it.
struct Open {
    /// The lock is the file's, and ends with it.
    _lock: File,
    entries: Vec<Entry>,
}

/// What the host does when a change is made or taken back.
pub(super) trait Hands {
    /// Makes it.
    fn make(&mut self, change: &Change) -> io::Result<()>;
    /// Takes it back. Whoever has changed the same thing since keeps his.
    fn take_back(&mut self, change: &Change) -> io::Result<()>;
}

impl Book {
    /// In this folder, which is made if it is not there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let named = |error: io::Error| {
            let text = format!("the state cannot be kept in {}: {error}", folder.display());
            io::Error::new(error.kind(), text)
        };
        fs::create_dir_all(folder).map_err(named)?;
        let book = Self {
            path: folder.join("host.json"),
            dead: RefCell::default(),
        };
        book.lock().map_err(named)?;
        Ok(book)
    }

    /// Makes a change for this process. It is written down before, so that it is taken back even if
    /// the process ends in between.
    pub(super) fn claim(
        &self,
        change: Change,
        holder: &Holder,
        hands: &mut impl Hands,
    ) -> io::Result<()> {
        let mut open = self.lock()?;
        let before = open.entries.clone();
        let known = open
            .entries
            .iter_mut()
            .find(|entry| entry.change.is_of(&change));
        let (made, is_new) = match known {
            Some(entry) => {
                let former = |one: &Holder| one.agent == holder.agent && !one.lives();
                entry.holders.retain(|one| !former(one));
                if !entry.holders.contains(holder) {
                    entry.holders.push(holder.clone());
                }
                (entry.change.clone(), false)
            }
            None => {
                let holders = vec![holder.clone()];
                open.entries.push(Entry {
                    change: change.clone(),
                    holders,
                });
                (change, true)
            }
        };
        if open.entries != before {
            self.write(&open.entries)?;
        }
        let done = hands.make(&made);
        if done.is_err() && is_new {
            open.entries.retain(|entry| !entry.change.is_of(&made));
            self.write(&open.entries)?;
        }
        done
    }

    /// Takes back what this process needs no more (`keep` says what it does), what its predecessor
    /// has left, and what others have left that do not come back.
    pub(super) fn release(
        &self,
        holder: &Holder,
        now: Instant,
        keep: impl Fn(&Change) -> bool,
        hands: &mut impl Hands,
    ) -> io::Result<()> {
        let mut open = self.lock()?;
        let before = open.entries.clone();
        for entry in &mut open.entries {
            let kept = keep(&entry.change);
            let stays = |one: &Holder| match one == holder {
                true => kept,
                false => one.lives() || (one.agent != holder.agent && self.may_return(one, now)),
            };
            entry.holders.retain(stays);
        }
        let (kept, left): (Vec<_>, Vec<_>) = open
            .entries
            .into_iter()
            .partition(|entry| !entry.holders.is_empty());
        // In the other order than they were made.
        let mut stuck = kept;
        let mut trouble = Ok(());
        for entry in left.into_iter().rev() {
            if let Err(error) = hands.take_back(&entry.change) {
                trouble = Err(error);
                stuck.push(entry);
            }
        }
        if stuck != before {
            self.write(&stuck)?;
        }
        trouble
    }

    /// Takes back what all dead agents have left.
    pub(super) fn clear(&self, hands: &mut impl Hands) -> io::Result<Vec<Change>> {
        let before = self.changes()?;
        let nobody = Holder::own("")?;
        let long_ago = Instant::now() + PATIENCE * 2;
        self.release(&nobody, Instant::now(), |_| false, hands)?;
        self.release(&nobody, long_ago, |_| false, hands)?;
        let after = self.changes()?;
        let gone = before.into_iter();
        Ok(gone.filter(|change| !after.contains(change)).collect())
    }

    fn may_return(&self, dead: &Holder, now: Instant) -> bool {
        let mut found = self.dead.borrow_mut();
        let since = *found.entry(dead.clone()).or_insert(now);
        now.saturating_duration_since(since) < PATIENCE
    }

    /// What this process's predecessor has left, or this process itself has made.
    pub(super) fn of(&self, holder: &Holder) -> io::Result<Vec<Change>> {
        let entries = self.lock()?.entries.into_iter();
        let own = entries.filter(|entry| {
            let mut holders = entry.holders.iter();
            holders.any(|one| one.agent == holder.agent)
        });
        Ok(own.map(|entry| entry.change).collect())
    }

    /// What is written down.
    pub(super) fn changes(&self) -> io::Result<Vec<Change>> {
        let entries = self.lock()?.entries.into_iter();
        Ok(entries.map(|entry| entry.change).collect())
    }

    fn lock(&self) -> io::Result<Open> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.with_extension("lock"))?;
        lock.lock()?;
        let mut text = String::new();
        match File::open(&self.path) {
            Ok(file) => drop(file.take(MAX_BYTES).read_to_string(&mut text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // One that cannot be read is of another version, or was cut off: the guard finds what lacks.
        let entries = serde_json::from_str(&text).unwrap_or_default();
        Ok(Open {
            _lock: lock,
            entries,
        })
    }

    /// As a whole, or not at all.
    fn write(&self, entries: &[Entry]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        serde_json::to_writer(&mut file, entries)?;
        file.flush()?;
        fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Hands for Notes {
        fn make(&mut self, change: &Change) -> io::Result<()> {
            self.0.push(format!("+{}", name(change)));
            Ok(())
        }

        fn take_back(&mut self, change: &Change) -> io::Result<()> {
            self.0.push(format!("-{}", name(change)));
            Ok(())
        }
    }

    fn name(change: &Change) -> String {
        match change {
            Change::Setting { name, before, .. } => format!("{name}={before}"),
            other => format!("{other:?}"),
        }
    }

    fn setting(name: &str, before: &str) -> Change {
        Change::Setting {
            name: name.to_owned(),
            before: before.to_owned(),
            value: "1".to_owned(),
        }
    }

    fn dead(agent: &str) -> Holder {
        Holder {
            agent: agent.to_owned(),
            pid: u32::MAX,
            started: 1,
        }
    }

    #[test]
    fn what_one_agent_needs_another_does_not_take_back() {
        let folder = tempfile::tempdir().unwrap();
        let (book, mut notes) = (Book::open(folder.path()).unwrap(), Notes::default());
        let (one, other) = (Holder::own("one").unwrap(), Holder::own("other").unwrap());
        let now = Instant::now();
        book.claim(setting("a", "0"), &one, &mut notes).unwrap();
        // What the second one finds is the first one's doing.
        book.claim(setting("a", "1"), &other, &mut notes).unwrap();
        book.release(&one, now, |_| false, &mut notes).unwrap();
        assert_eq!(notes.0, ["+a=0", "+a=0"]);
        book.release(&other, now, |_| false, &mut notes).unwrap();
        assert_eq!(notes.0.last().unwrap(), "-a=0");
        assert!(book.changes().unwrap().is_empty());
    }

    #[test]
    fn what_its_predecessor_has_left_is_taken_back_but_for_what_is_needed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (book, mut notes) = (Book::open(folder.path()).unwrap(), Notes::default());
        for name in ["a", "b", "c"] {
            book.claim(setting(name, "0"), &dead("one"), &mut notes)
                .unwrap();
        }
        notes.0.clear();
        let (own, now) = (Holder::own("one").unwrap(), Instant::now());
        book.claim(setting("b", "1"), &own, &mut notes).unwrap();
        book.release(&own, now, |_| true, &mut notes).unwrap();
        assert_eq!(notes.0, ["+b=0", "-c=0", "-a=0"]);
        book.release(&own, now, |_| false, &mut notes).unwrap();
        assert_eq!(notes.0.last().unwrap(), "-b=0");
    }

    #[test]
    fn what_another_one_has_left_waits_for_it_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (book, mut notes) = (Book::open(folder.path()).unwrap(), Notes::default());
        book.claim(setting("a", "0"), &dead("other"), &mut notes)
            .unwrap();
        let (own, now) = (Holder::own("one").unwrap(), Instant::now());
        for later in [0, 9] {
            let now = now + Duration::from_secs(later);
            book.release(&own, now, |_| true, &mut notes).unwrap();
        }
        assert_eq!(notes.0, ["+a=0"]);
        book.release(&own, now + PATIENCE, |_| true, &mut notes)
            .unwrap();
        assert_eq!(notes.0, ["+a=0", "-a=0"]);

        book.claim(setting("b", "0"), &dead("other"), &mut notes)
            .unwrap();
        book.claim(setting("c", "0"), &own, &mut notes).unwrap();
        assert_eq!(book.clear(&mut notes).unwrap(), [setting("b", "0")]);
    }

    #[test]
    fn a_process_of_the_same_number_is_not_the_same_one() {
        let own = Holder::own("one").unwrap();
        assert!(own.lives());
        let other = Holder {
            started: own.started + 1,
            ..own
        };
        assert!(!other.lives() && !dead("one").lives());
    }

    #[test]
    fn a_book_that_was_cut_off_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("host.json"), "[{\"kind\":").unwrap();
        let book = Book::open(folder.path()).unwrap();
        assert!(book.changes().unwrap().is_empty());
        let own = Holder::own("one").unwrap();
        book.claim(setting("a", "0"), &own, &mut Notes::default())
            .unwrap();
        assert_eq!(book.changes().unwrap().len(), 1);
    }
}
