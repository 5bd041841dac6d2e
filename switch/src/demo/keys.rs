//! Single keys from a terminal, without Enter.

use std::io::{IsTerminal as _, Read as _, stdin};
use std::sync::mpsc::{self, Receiver};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The keyboard; the terminal is put back when this is dropped.
#[derive(Debug)]
pub(super) struct Keys {
    before: Termios,
    pressed: Receiver<u8>,
}

impl Keys {
    /// `None` when standard input is no terminal.
    pub(super) fn open() -> Option<Self> {
        if !stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        // Ctrl-C stays a signal.
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        let (sender, pressed) = mpsc::channel();
        let read = move || {
            let mut key = [0];
            while stdin().read(&mut key).is_ok_and(|count| count == 1) {
                if sender.send(key[0]).is_err() {
                    return;
                }
            }
        };
        let reader = std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(read);
        let keys = Self { before, pressed };
        reader.is_ok().then_some(keys)
    }

    /// The keys that were pressed since the last time.
    pub(super) fn pressed(&self) -> impl Iterator<Item = u8> {
        self.pressed.try_iter()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
