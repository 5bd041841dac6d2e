//! What a real switch has told (`testdata/live.txt`, of `GET /live`), as it is shown.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::feed::{self, News};
use super::model::{Model, Page};
use super::state::{Action, App, Mode, Order};
use super::view;
use crate::app::client::Answer;

fn news() -> Vec<News> {
    let (mut event, mut news) = ("", Vec::new());
    for line in include_str!("testdata/live.txt").lines() {
        if let Some(word) = line.strip_prefix("event: ") {
            event = word;
        } else if let Some(data) = line.strip_prefix("data: ") {
            news.extend(feed::read(event, data).expect("JSON of the switch"));
        }
    }
    news
}

fn app() -> App {
    let mut app = App::new(false);
    news().into_iter().for_each(|news| app.hear(news));
    app
}

fn shown(app: &App, width: u16, height: u16) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("no terminal fails");
    terminal
        .draw(|frame| view::draw(frame, app))
        .expect("no terminal fails");
    terminal.backend().clone()
}

fn press(app: &mut App, keys: &[KeyCode]) -> Action {
    let mut action = Action::None;
    for key in keys {
        action = app.key(KeyEvent::new(*key, KeyModifiers::NONE));
    }
    action
}

fn write(app: &mut App, text: &str) {
    text.chars().for_each(|letter| {
        press(app, &[KeyCode::Char(letter)]);
    });
}

#[test]
fn backends_first_the_busiest_on_top() {
    insta::assert_snapshot!(shown(&app(), 80, 24));
}

#[test]
fn routes_as_they_are_shown() {
    let mut app = app();
    press(&mut app, &[KeyCode::Char('2')]);
    insta::assert_snapshot!(shown(&app, 80, 24));
}

#[test]
fn pools_as_they_are_shown() {
    let mut app = app();
    press(&mut app, &[KeyCode::Char('3')]);
    insta::assert_snapshot!(shown(&app, 100, 12));
}

#[test]
fn access_points_are_contacts_and_listeners() {
    let mut app = app();
    let contact = r#"{"seq":5,"uptime":93784,"state":"ready","contact":{"contacts":[
        {"addresses":["192.0.2.10"],"announce":"vrrp","interface":"eth0","priority":150,"role":"active"},
        {"addresses":["192.0.2.11"],"announce":"vrrp","interface":"eth0","priority":90,"role":"standby"}]},
        "listeners":[[2.5,0.0,null,12],[null,null,null,0]]}"#;
    let news = feed::read("tick", contact).expect("JSON").expect("a tick");
    app.hear(news);
    press(&mut app, &[KeyCode::Char('1')]);
    insta::assert_snapshot!(shown(&app, 80, 12));
}

#[test]
fn a_drain_asks_for_a_reason_before_it_is_given() {
    let mut app = app();
    press(&mut app, &[KeyCode::Down, KeyCode::Char('d')]);
    assert_eq!(press(&mut app, &[KeyCode::Enter]), Action::None, "why?");
    write(&mut app, "disk q");
    insta::assert_snapshot!(shown(&app, 80, 12));
    let order = |word, backend: &str, why: &str| Order {
        word,
        pool: "app".to_owned(),
        backend: backend.to_owned(),
        why: why.to_owned(),
    };
    let drained = order("drain", "127.0.0.1:18092", "disk q");
    assert_eq!(press(&mut app, &[KeyCode::Enter]), Action::Give(drained));
    assert_eq!(app.mode, Mode::Look);
    press(&mut app, &[KeyCode::Char('e')]);
    let enabled = order("enable", "127.0.0.1:18092", "");
    assert_eq!(press(&mut app, &[KeyCode::Enter]), Action::Give(enabled));
    press(
        &mut app,
        &[KeyCode::Char('d'), KeyCode::Char('x'), KeyCode::Esc],
    );
    assert_eq!(app.said.as_deref(), Some("nothing was changed"));
    assert_eq!(
        press(&mut app, &[KeyCode::Char('2'), KeyCode::Char('d')]),
        Action::None
    );
    assert_eq!(app.mode, Mode::Look, "a route is not drained");
}

#[test]
fn what_is_typed_filters_and_letters_are_no_commands_then() {
    let mut app = app();
    press(&mut app, &[KeyCode::Char('/')]);
    write(&mut app, "DOWN");
    let names = |app: &App| -> Vec<String> { app.rows().into_iter().map(|row| row.name).collect() };
    assert_eq!(names(&app), ["app/127.0.0.1:18099"]);
    press(&mut app, &[KeyCode::Enter]);
    insta::assert_snapshot!(shown(&app, 80, 8));
    press(&mut app, &[KeyCode::Esc]);
    assert_eq!(names(&app).len(), 5);
    press(&mut app, &[KeyCode::Char('/')]);
    write(&mut app, "nobody");
    assert!(names(&app).is_empty());
    assert_eq!(press(&mut app, &[KeyCode::Down]), Action::None);
    shown(&app, 80, 24);
}

#[test]
fn rows_are_sorted_and_the_selected_one_stays_selected() {
    let mut app = app();
    let selected = |app: &App| {
        let rows = app.rows();
        (app.place(&rows), rows[app.place(&rows)].name.clone())
    };
    press(&mut app, &[KeyCode::End]);
    let (last, name) = selected(&app);
    assert_eq!(last, 4);
    press(&mut app, &[KeyCode::Char('r')]);
    assert_eq!(selected(&app), (0, name));
    // Errors, p99, under way, name.
    press(&mut app, &[KeyCode::Char('s')]);
    assert_eq!(app.rows()[0].name, "api/127.0.0.1:18093");
    press(&mut app, &[KeyCode::Char('s'); 3]);
    let names: Vec<_> = app.rows().into_iter().map(|row| row.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    press(&mut app, &[KeyCode::Tab, KeyCode::Right, KeyCode::BackTab]);
    assert_eq!(app.page, Page::Access);
    press(&mut app, &[KeyCode::Left]);
    assert_eq!(app.page, Page::Backends);
}

#[test]
fn a_pause_holds_what_is_shown_and_goes_on_with_what_is() {
    let mut app = App::new(false);
    let mut all = news().into_iter();
    all.by_ref().take(2).for_each(|news| app.hear(news));
    let rate = |app: &App| app.rows()[0].rate;
    let before = rate(&app);
    press(&mut app, &[KeyCode::Char('p')]);
    all.for_each(|news| app.hear(news));
    assert_eq!(rate(&app), before);
    assert!(shown(&app, 80, 24).to_string().contains("PAUSED"));
    press(&mut app, &[KeyCode::Char(' ')]);
    assert!(rate(&app) > before);
}

#[test]
fn a_switch_that_does_not_answer_is_told_of_and_nothing_is_forgotten() {
    let mut app = app();
    app.hear(News::Lost("connection refused".to_owned()));
    let text = shown(&app, 80, 24).to_string();
    assert!(
        text.contains("NO ANSWER") && text.contains("connection refused"),
        "{text}"
    );
    assert!(text.contains("app/127.0.0.1:18091"), "{text}");
    let tick = news().pop().expect("a tick");
    app.hear(tick);
    assert!(!shown(&app, 80, 24).to_string().contains("NO ANSWER"));
}

#[test]
fn any_size_will_do() {
    for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
        for page in Page::ALL {
            let mut app = app();
            app.page = page;
            shown(&app, width, height);
        }
    }
    // Before anything has come.
    shown(&App::new(true), 80, 24);
}

#[test]
fn what_fits_no_shape_is_passed_over() {
    let mut model = Model::default();
    let tick = r#"{"backends":{"7":[0,1,1.0,0.0,null,0,null]},"routes":[[1,2,3,4]],"later":1}"#;
    let Ok(Some(News::Tick(tick))) = feed::read("tick", tick) else {
        panic!("it is a tick");
    };
    model.update(*tick);
    assert!(Page::ALL.iter().all(|page| model.rows(*page).is_empty()));
    assert!(feed::read("tick", "{").is_err());
    assert!(matches!(feed::read("happened", "{"), Ok(None)));
}

#[test]
fn refusals_are_told_in_the_words_of_the_switch() {
    let answer = |status, body: &str| Answer {
        status,
        body: body.to_owned(),
    };
    let refused = feed::said(&answer(409, "nobody else would serve\n"));
    assert_eq!(refused, "refused: nobody else would serve");
    let done = r#"{"pool":"app","backend":"a","duty":"draining","weight":1,"until":null,"in_flight":0,
        "text":"app/a is draining, 0 under way"}"#;
    assert_eq!(
        feed::said(&answer(200, done)),
        "app/a is draining, 0 under way"
    );
}

#[test]
fn control_c_ends_it_in_every_mode() {
    let end = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let mut app = app();
    assert_eq!(app.key(end), Action::Quit);
    press(&mut app, &[KeyCode::Char('d')]);
    assert_eq!(app.key(end), Action::Quit);
    assert_eq!(
        press(&mut app, &[KeyCode::Esc, KeyCode::Char('q')]),
        Action::Quit
    );
}
