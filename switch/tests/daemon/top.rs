//! `pointsman top` in a pseudo-terminal, beside a running switch.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::*;

/// The program in a terminal of its own.
struct Screen {
    child: Child,
    keyboard: File,
    /// What it shows.
    drawn: Arc<Mutex<vt100::Parser>>,
}

impl Screen {
    fn start(args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        resize(&master, 80, 24);
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let name = name.into_string().expect("a path in UTF-8");
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .expect("it is there");
        let end = |file: &File| Stdio::from(file.try_clone().expect("a descriptor"));
        let child = pointsman(args)
            .stdin(end(&slave))
            .stdout(end(&slave))
            .stderr(end(&slave))
            .env("TERM", "xterm")
            .spawn()
            .expect("it starts");
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().expect("a descriptor");
        let drawn = Arc::new(Mutex::new(vt100::Parser::new(24, 80, 0)));
        let kept = drawn.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                kept.lock()
                    .expect("nobody panics with it")
                    .process(&piece[..length]);
            }
        });
        Self {
            child,
            keyboard,
            drawn,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it reads");
    }

    fn is_alternate(&self) -> bool {
        let drawn = self.drawn.lock().expect("nobody panics with it");
        drawn.screen().alternate_screen()
    }

    fn resize(&self, columns: u16, rows: u16) {
        resize(&self.keyboard, columns, rows);
        let mut drawn = self.drawn.lock().expect("nobody panics with it");
        drawn.screen_mut().set_size(rows, columns);
    }

    fn text(&self) -> String {
        let drawn = self.drawn.lock().expect("nobody panics with it");
        drawn.screen().contents()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let shows = || self.text().contains(text);
        let until = std::time::Instant::now() + PATIENCE;
        while !shows() {
            assert!(
                std::time::Instant::now() < until,
                "no {text}: {}",
                self.text()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn wait_for_end(&mut self) -> i32 {
        wait_until("it ends", || self.child.try_wait().expect("ours").is_some());
        let status = self.child.wait().expect("it has ended");
        status.code().unwrap_or(-1)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("a terminal has a size");
}

#[test]
fn a_backend_is_drained_and_enabled_from_the_terminal() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], ""));
    let mut screen = Screen::start(&["top", "--admin", &switch.admin_word()]);
    screen.wait_for(&format!("app/{}", one.address));
    assert!(screen.is_alternate());
    screen.wait_for("q quit");
    screen.press(&format!("/{}\r", two.address.port()));
    screen.wait_for("(Esc clears)");
    screen.press("d");
    screen.wait_for("why:");
    screen.press("a test\r");
    wait_until("it drains", || {
        let overlay = switch.status()["overlay"][0].clone();
        overlay["order"] == "drain" && overlay["why"] == "a test"
    });
    assert_eq!(switch.states()[1], "draining");
    screen.wait_for("is draining (a test)");
    screen.press("e");
    screen.press("\r");
    wait_until("it is back", || switch.states()[1] == "up");

    screen.resize(132, 40);
    // Escape clears the filter, and an arrow turns the page.
    screen.press("\x1b");
    screen.wait_for(&format!("app/{}", one.address));
    screen.press("\x1b[D");
    screen.wait_for("2/2 up");
    let rows = screen.text();
    let last = rows.trim_end().lines().count();
    assert_eq!(last, 40, "the line of keys is the last one: {rows}");
    screen.press("q");
    assert_eq!(screen.wait_for_end(), 0);
    wait_until("the screen is as before", || !screen.is_alternate());
}

#[test]
fn it_waits_for_a_switch_that_is_gone() {
    let one = Backend::start("one");
    let mut switch = Switch::start(&policy(&[one.address], ""));
    let mut screen = Screen::start(&["top", "--admin", &switch.admin_word()]);
    screen.wait_for(&format!("app/{}", one.address));
    switch.signal(rustix::process::Signal::TERM);
    switch.wait_for_end();
    screen.wait_for("does not answer");
    screen.press("\x03");
    assert_eq!(screen.wait_for_end(), 0);
}

#[test]
fn without_a_terminal_or_a_switch_it_says_so() {
    let (code, _, err) = run(&["top", "--admin", "127.0.0.1:9"]);
    assert_eq!(code, 2);
    assert!(err.contains("pointsman status"), "{err}");
    let mut screen = Screen::start(&["top", "--admin", "127.0.0.1:9"]);
    assert_eq!(screen.wait_for_end(), 3);
    screen.wait_for("no running switch answers");
}
