//! How it looks: a title, the pages, one table, and a line for help or what is being written.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState};

use super::model::{Mood, Numbers, Page, Row};
use super::state::{App, Mode, Sort};

const HELP: &str = "1-4 page  \u{2191}\u{2193} row  / filter  s sort  r turn  p pause  d drain  \
                    e enable  q quit";

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
    ]);
    let [title, whole, pages, table, last] = areas.areas(frame.area());
    frame.render_widget(heading(app), title);
    frame.render_widget(figures(app), whole);
    frame.render_widget(tabs(app), pages);
    rows(frame, app, table);
    frame.render_widget(footer(app), last);
}

fn heading(app: &App) -> Paragraph<'_> {
    let model = app.model();
    let (tick, shape) = (&model.tick, &model.shape);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![Span::styled(format!("pointsman {}", shape.version), bold)];
    let mood = match tick.state.as_str() {
        "ready" => Mood::Good,
        "" => Mood::Plain,
        _ => Mood::Between,
    };
    spans.push(Span::raw("  "));
    spans.push(Span::styled(tick.state.clone(), style(app, mood)));
    spans.push(Span::raw(format!(
        "  up {}  policy {:.8}",
        duration(tick.uptime),
        shape.digest
    )));
    let contacts = tick.contact.iter().flat_map(|all| &all.contacts);
    let active = contacts.clone().filter(|one| one.role == "active").count();
    let all = contacts.count();
    if all > 0 {
        spans.push(Span::raw(format!("  holds {active} of {all} contacts")));
    }
    if app.is_paused() {
        spans.push(Span::styled("  PAUSED", style(app, Mood::Between)));
    }
    if app.lost.is_some() {
        spans.push(Span::styled("  NO ANSWER", style(app, Mood::Bad)));
    }
    Paragraph::new(Line::from(spans))
}

fn figures(app: &App) -> Paragraph<'_> {
    let tick = &app.model().tick;
    let Numbers(rate, errors, p99, busy) = tick.whole;
    let text = format!(
        "{}/s  {} errors/s  p99 {}  {busy} under way  {} connections",
        number(rate.unwrap_or_default()),
        number(errors.unwrap_or_default()),
        seconds(p99),
        tick.connections,
    );
    Paragraph::new(text)
}

fn tabs(app: &App) -> Paragraph<'_> {
    let mut spans = Vec::new();
    for (place, page) in Page::ALL.iter().enumerate() {
        let text = format!(" {} {} ", place + 1, page.title());
        let style = match *page == app.page {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        spans.push(Span::styled(text, style));
        spans.push(Span::raw(" "));
    }
    if !app.filter.is_empty() && app.mode != Mode::Filter {
        spans.push(Span::raw(format!("filter: {} (Esc clears)", app.filter)));
    }
    Paragraph::new(Line::from(spans))
}

fn rows(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let rows = app.rows();
    let columns = [
        ("NAME", Sort::Name),
        ("", Sort::Name),
        ("STATE", Sort::State),
        ("RATE/s", Sort::Rate),
        ("ERR/s", Sort::Errors),
        ("P99", Sort::P99),
        ("BUSY", Sort::Busy),
    ];
    let mark = if app.reversed { "\u{25b2}" } else { "\u{25bc}" };
    let header = columns.iter().enumerate().map(|(place, (name, sort))| {
        let is_sorted = *sort == app.sort && !name.is_empty();
        let text = format!("{name}{}", if is_sorted { mark } else { "" });
        cell(text, place >= 3)
    });
    let header = TableRow::new(header).style(Style::new().add_modifier(Modifier::BOLD));
    let longest = rows.iter().map(|row| row.name.chars().count()).max();
    let most = usize::from(area.width / 3).max(12);
    let name = longest.unwrap_or(0).clamp(12, most) as u16;
    let widths = [
        Constraint::Length(name),
        Constraint::Min(8),
        Constraint::Length(10),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(5),
    ];
    let body = rows.iter().map(|row| line(app, row));
    let table = Table::new(body, widths)
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let place = (!rows.is_empty()).then(|| app.place(&rows));
    let mut state = TableState::new().with_selected(place);
    frame.render_stateful_widget(table, area, &mut state);
}

fn line<'r>(app: &App, row: &'r Row) -> TableRow<'r> {
    let errors = match row.errors > 0.0 {
        true => style(app, Mood::Bad),
        false => Style::new(),
    };
    TableRow::new([
        Cell::from(row.name.as_str()),
        Cell::from(row.what.as_str()),
        Cell::from(row.state.as_str()).style(style(app, row.mood)),
        cell(number(row.rate), true),
        cell(number(row.errors), true).style(errors),
        cell(seconds(row.p99), true),
        cell(row.busy.to_string(), true),
    ])
}

fn cell<'c>(text: String, right: bool) -> Cell<'c> {
    let line = Line::from(text);
    Cell::from(if right { line.right_aligned() } else { line })
}

fn footer(app: &App) -> Paragraph<'_> {
    let text = match (&app.mode, &app.said) {
        (_, Some(said)) => said.clone(),
        (Mode::Filter, None) => format!(
            "filter: {}\u{2588}  (Enter keeps it, Esc clears it)",
            app.filter
        ),
        (Mode::Confirm(order), None) => format!(
            "{} {}/{}?  why: {}\u{2588}  (Enter does it, Esc does not)",
            order.word, order.pool, order.backend, order.why
        ),
        (Mode::Look, None) => match &app.lost {
            Some(why) => format!("the switch does not answer: {why}"),
            None => HELP.to_owned(),
        },
    };
    Paragraph::new(text)
}

fn style(app: &App, mood: Mood) -> Style {
    let color = match mood {
        Mood::Plain => return Style::new(),
        Mood::Good => Color::Green,
        Mood::Between => Color::Yellow,
        Mood::Bad => Color::Red,
    };
    match app.color {
        true => Style::new().fg(color),
        false => Style::new(),
    }
}

/// Three digits or so.
fn number(value: f32) -> String {
    match value {
        value if value >= 999_500.0 => format!("{:.1}M", value / 1e6),
        value if value >= 9_995.0 => format!("{:.1}k", value / 1e3),
        value if value >= 99.95 => format!("{value:.0}"),
        value if value > 0.0 => format!("{value:.1}"),
        _ => "0".to_owned(),
    }
}

fn seconds(value: Option<f32>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 1.0 => format!("{value:.2} s"),
        Some(value) => format!("{:.1} ms", value * 1e3),
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours:02}h"),
    }
}
