//! What the operator looks at, and what keys do: no input, no output.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::feed::News;
use super::model::{Model, Page, Row};

/// The longest filter and reason, in characters.
const MAX_TEXT: usize = 200;

/// What a key has somebody else do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Quit,
    Give(Order),
}

/// An order about a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// `drain` or `enable`.
    pub(super) word: &'static str,
    pub(super) pool: String,
    pub(super) backend: String,
    pub(super) why: String,
}

/// What keys mean now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Look,
    /// The filter is being written.
    Filter,
    /// An order waits for its reason and for Enter.
    Confirm(Order),
}

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Rate,
    Errors,
    P99,
    Busy,
    Name,
    State,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Rate => Self::Errors,
            Self::Errors => Self::P99,
            Self::P99 => Self::Busy,
            Self::Busy => Self::Name,
            Self::Name => Self::State,
            Self::State => Self::Rate,
        }
    }

    /// Figures begin with the largest, words with the first.
    fn sort(self, rows: &mut [Row]) {
        let p99 = |row: &Row| row.p99.unwrap_or(-1.0);
        rows.sort_by(|a, b| {
            let order = match self {
                Self::Rate => b.rate.total_cmp(&a.rate),
                Self::Errors => b.errors.total_cmp(&a.errors),
                Self::P99 => p99(b).total_cmp(&p99(a)),
                Self::Busy => b.busy.cmp(&a.busy),
                Self::Name => a.name.cmp(&b.name),
                Self::State => a.state.cmp(&b.state),
            };
            order.then_with(|| a.name.cmp(&b.name))
        });
    }
}

/// The whole program but for its terminal.
#[derive(Debug)]
pub(super) struct App {
    live: Model,
    /// What is shown while it is paused.
    held: Option<Model>,
    pub(super) page: Page,
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// The name of the row that is selected.
    selected: String,
    /// What was said last, until the next key.
    pub(super) said: Option<String>,
    /// Why nothing comes.
    pub(super) lost: Option<String>,
    pub(super) color: bool,
}

impl App {
    pub(super) fn new(color: bool) -> Self {
        Self {
            live: Model::default(),
            held: None,
            page: Page::Backends,
            sort: Sort::Rate,
            reversed: false,
            filter: String::new(),
            mode: Mode::Look,
            selected: String::new(),
            said: None,
            lost: None,
            color,
        }
    }

    /// What is shown.
    pub(super) fn model(&self) -> &Model {
        self.held.as_ref().unwrap_or(&self.live)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.held.is_some()
    }

    /// The rows of the page as they are shown.
    pub(super) fn rows(&self) -> Vec<Row> {
        let filter = self.filter.to_lowercase();
        let mut rows = self.model().rows(self.page);
        rows.retain(|row| {
            let texts = [&row.name, &row.what, &row.state];
            texts
                .iter()
                .any(|text| text.to_lowercase().contains(&filter))
        });
        self.sort.sort(&mut rows);
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    /// The place of the row that is selected; the first one's while the one that was is gone.
    pub(super) fn place(&self, rows: &[Row]) -> usize {
        let found = rows.iter().position(|row| row.name == self.selected);
        found.unwrap_or(0)
    }

    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Shape(shape) => self.live.reshape(*shape),
            News::Tick(tick) => {
                self.lost = None;
                self.live.update(*tick);
            }
            News::Said(said) => self.said = Some(said),
            News::Lost(why) => self.lost = Some(why),
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Action {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Action::Quit;
        }
        self.said = None;
        match std::mem::replace(&mut self.mode, Mode::Look) {
            Mode::Look => self.look(key.code),
            Mode::Filter => {
                self.write_filter(key.code);
                Action::None
            }
            Mode::Confirm(order) => self.confirm(order, key.code),
        }
    }

    fn look(&mut self, key: KeyCode) -> Action {
        match key {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char(digit @ '1'..='4') => {
                self.page = Page::ALL[digit as usize - '1' as usize];
            }
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(Page::ALL.len() - 1),
            KeyCode::Up => self.step(-1),
            KeyCode::Down => self.step(1),
            KeyCode::PageUp => self.step(-10),
            KeyCode::PageDown => self.step(10),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => (self.sort, self.reversed) = (self.sort.next(), false),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('p' | ' ') => {
                self.held = match self.held {
                    Some(_) => None,
                    None => Some(self.live.clone()),
                };
            }
            KeyCode::Char('d') => self.begin("drain"),
            KeyCode::Char('e') => self.begin("enable"),
            _ => {}
        }
        Action::None
    }

    fn turn(&mut self, by: usize) {
        let here = Page::ALL.iter().position(|page| *page == self.page);
        self.page = Page::ALL[(here.unwrap_or(0) + by) % Page::ALL.len()];
    }

    fn step(&mut self, by: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let place = self.place(&rows).saturating_add_signed(by).min(last);
        if let Some(row) = rows.get(place) {
            self.selected.clone_from(&row.name);
        }
    }

    fn begin(&mut self, word: &'static str) {
        let rows = self.rows();
        let row = rows.get(self.place(&rows));
        let Some((pool, backend)) = row.and_then(|row| row.backend.clone()) else {
            self.said = Some("select a backend first: key 4".to_owned());
            return;
        };
        // The rows go on moving; the one that is meant stays.
        self.selected = format!("{pool}/{backend}");
        self.mode = Mode::Confirm(Order {
            word,
            pool,
            backend,
            why: String::new(),
        });
    }

    fn write_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => return,
            KeyCode::Esc => return self.filter.clear(),
            key => write(&mut self.filter, key),
        }
        self.mode = Mode::Filter;
    }

    fn confirm(&mut self, mut order: Order, key: KeyCode) -> Action {
        match key {
            KeyCode::Esc => {
                self.said = Some("nothing was changed".to_owned());
                return Action::None;
            }
            KeyCode::Enter if order.word == "enable" || !order.why.trim().is_empty() => {
                order.why = order.why.trim().to_owned();
                return Action::Give(order);
            }
            KeyCode::Enter => self.said = Some("write why: others will want to know".to_owned()),
            key => write(&mut order.why, key),
        }
        self.mode = Mode::Confirm(order);
        Action::None
    }
}

fn write(text: &mut String, key: KeyCode) {
    match key {
        KeyCode::Char(letter) if text.chars().count() < MAX_TEXT => text.push(letter),
        KeyCode::Backspace => drop(text.pop()),
        _ => {}
    }
}
