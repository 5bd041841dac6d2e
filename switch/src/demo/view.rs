//! What the demo shows: a picture on a terminal, one line a second elsewhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::{Duration, Instant};

use super::load::{Counts, Load};
use super::policy::PolicyFile;
use crate::app::daemon::Daemon;
use crate::app::output;
use crate::metrics::BackendTotals;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Between two pictures.
const PICTURE_EVERY: Duration = Duration::from_millis(200);
/// How fast a rate follows, in seconds.
const SMOOTH: f64 = 0.7;
/// Cells of a full bar.
const BAR: f64 = 30.0;

/// The terminal's other screen; the first one comes back when this is dropped.
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    /// `None` when standard output is no terminal.
    pub(super) fn open() -> Option<Self> {
        if !stdout().is_terminal() {
            return None;
        }
        let _ = stdout().write_all(b"\x1b[?1049h\x1b[?25l");
        Some(Self(()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = stdout().write_all(b"\x1b[?25h\x1b[?1049l");
        let _ = stdout().flush();
    }
}

/// The view.
#[derive(Debug)]
pub(super) struct View {
    screen: Option<Screen>,
    color: bool,
    hints: String,
    started: Instant,
    shown: Option<Instant>,
    rates: HashMap<String, Rate>,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    taken: u64,
    per_second: f64,
}

impl View {
    pub(super) fn new(screen: Option<Screen>, file: &PolicyFile, keys: bool) -> Self {
        let hints = hints(file, keys);
        if screen.is_none() {
            output::print(&hints);
        }
        let (color, started) = (output::color_out(), Instant::now());
        Self {
            screen,
            color,
            hints,
            started,
            shown: None,
            rates: HashMap::new(),
        }
    }

    /// Shows what goes on, if it is time.
    pub(super) fn show(&mut self, daemon: &Daemon, load: &Load) {
        let every = if self.screen.is_some() {
            PICTURE_EVERY
        } else {
            LINE_EVERY
        };
        let before = *self.shown.get_or_insert(self.started);
        let elapsed = before.elapsed();
        if elapsed < every {
            return;
        }
        self.shown = Some(Instant::now());
        let backends = daemon.hub().totals().backends;
        self.follow(&backends, elapsed.as_secs_f64());
        let counts = load.counts();
        let text = match self.screen {
            Some(_) => self.picture(&backends, &counts, load.is_running(), daemon),
            None => self.line(&backends, &counts),
        };
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    fn follow(&mut self, backends: &[BackendTotals], elapsed: f64) {
        let share = if self.screen.is_some() {
            1.0 - (-elapsed / SMOOTH).exp()
        } else {
            1.0
        };
        for backend in backends {
            let first = Rate {
                taken: 0,
                per_second: 0.0,
            };
            let rate = self.rates.entry(backend.name.clone()).or_insert(first);
            let now = backend.taken.saturating_sub(rate.taken) as f64 / elapsed;
            rate.taken = backend.taken;
            rate.per_second += share * (now - rate.per_second);
        }
    }

    fn rate(&self, backend: &BackendTotals) -> f64 {
        self.rates
            .get(&backend.name)
            .map_or(0.0, |rate| rate.per_second)
    }

    fn line(&self, backends: &[BackendTotals], counts: &Counts) -> String {
        let seconds = self.started.elapsed().as_secs();
        let mut line = format!(
            "{seconds:4}s  {} requests  {} failed",
            counts.requests, counts.failed
        );
        for backend in backends {
            let rate = self.rate(backend);
            let _ = write!(line, "  {} {} {rate:.0}/s", backend.name, backend.state);
        }
        line + "\n"
    }

    fn picture(
        &self,
        backends: &[BackendTotals],
        counts: &Counts,
        running: bool,
        daemon: &Daemon,
    ) -> String {
        let paint = |code: &'static str| if self.color { code } else { "" };
        let (bold, dim, plain) = (paint("\x1b[1m"), paint("\x1b[2m"), paint("\x1b[0m"));
        let mut text = format!("{bold}Pointsman demo{plain}\n\n");
        let width = backends
            .iter()
            .map(|backend| backend.name.chars().count())
            .max();
        let width = width.unwrap_or(0);
        let most = backends
            .iter()
            .map(|backend| self.rate(backend))
            .fold(20.0, f64::max);
        for (place, backend) in backends.iter().enumerate() {
            let rate = self.rate(backend);
            let cells = (rate / most * BAR).round() as usize;
            let tint = match backend.state {
                "up" => paint("\x1b[32m"),
                "down" => paint("\x1b[31m"),
                _ => paint("\x1b[33m"),
            };
            let slow = backend.p99.map(|p99| format!("99% in {:.1} ms", p99 * 1e3));
            let _ = writeln!(
                text,
                "  {bold}{}{plain} {:width$}  {tint}{:10}{:<30}{plain} {rate:5.0}/s  {:8} in all  \
                 {dim}{}{plain}",
                place + 1,
                backend.name,
                backend.state,
                "\u{2588}".repeat(cells),
                backend.taken,
                slow.unwrap_or_default()
            );
        }
        let alarm = if counts.failed > 0 {
            paint("\x1b[1;31m")
        } else {
            bold
        };
        let paused = if running { "" } else { "  (paused)" };
        let _ = writeln!(
            text,
            "\n  {} requests, {alarm}{} failed{plain}{paused}\n",
            counts.requests, counts.failed
        );
        text += &self.hints;
        if let Some(news) = daemon.control().last_reload() {
            let _ = write!(
                text,
                "\n{}",
                news.map_or_else(
                    |refused| format!(
                        "the edited policy was refused, the one before stays:\n{}",
                        refused.render(self.color)
                    ),
                    |policy| format!("policy {} in force", policy.digest),
                )
            );
        }
        // Home, each line cleared to its end, and then everything below.
        let lines = text.replace('\n', "\x1b[K\n");
        format!("\x1b[H{lines}\x1b[J")
    }
}

fn hints(file: &PolicyFile, keys: bool) -> String {
    let (front, admin, path) = (file.front(), file.admin(), file.path().display());
    let kill = match keys {
        true => "  press 1, 2 or 3: kill that server, or bring it back\n  \
                 press l: pause the requests of this demo, or go on\n"
            .to_owned(),
        false => String::new(),
    };
    let end = if keys { "  press q: end\n" } else { "" };
    format!(
        "Try it:\n{kill}  \
         curl http://{front}/\n  \
         curl -X POST http://{admin}/demo/kill/2      kill the second server, or bring it back\n  \
         curl http://{admin}/metrics\n  \
         pointsman status {path}\n  \
         edit {path}      change a weight and save\n{end}"
    )
}
