//! `pointsman top`: the dashboard in a terminal.

mod feed;
mod model;
mod state;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::feed::News;
use self::state::{Action, App, Order};
use super::client::{self, Door};
use super::{Exit, output};
use crate::args;

/// Between two looks at what has come.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn run(args: &args::Top) -> Exit {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        output::error("`pointsman top` needs a terminal");
        output::message("help: `pointsman status` prints the same once, and --json for programs");
        return Exit::Usage;
    }
    let door = match Door::of(&args.target) {
        Ok(door) => Arc::new(door),
        Err(exit) => return exit,
    };
    let stream = match feed::open(&door) {
        Ok(stream) => stream,
        Err(exit) => return exit,
    };
    let (sender, news) = mpsc::channel();
    feed::spawn(stream, door.clone(), sender.clone());
    let mut app = App::new(output::color_out());
    let shown = ratatui::try_init().and_then(|mut terminal| {
        let shown = show(&mut terminal, &mut app, &news, (&door, &sender));
        ratatui::restore();
        shown
    });
    match shown {
        Ok(()) => Exit::Ok,
        Err(error) => {
            output::error(&format!("the terminal: {error}"));
            Exit::Failed
        }
    }
}

/// Shows what comes, until somebody has seen enough.
fn show(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    news: &Receiver<News>,
    (door, sender): (&Arc<Door>, &Sender<News>),
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| view::draw(frame, app))?;
        if event::poll(LOOK)?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            match app.key(key) {
                Action::None => {}
                Action::Quit => return Ok(()),
                Action::Give(order) => give(order, door.clone(), sender.clone()),
            }
        }
        news.try_iter().for_each(|news| app.hear(news));
    }
}

/// Gives an order; what becomes of it comes as news, so that nothing here waits for it.
fn give(order: Order, door: Arc<Door>, sender: Sender<News>) {
    std::thread::spawn(move || {
        let pairs = [
            ("pool", order.pool.as_str()),
            ("backend", order.backend.as_str()),
            ("why", order.why.as_str()),
        ];
        // Without a reason there is nothing to say about it.
        let pairs = &pairs[..if order.why.is_empty() { 2 } else { 3 }];
        let path = client::with_query(&format!("/backend/{}", order.word), pairs);
        let said = match feed::ask(&door, "POST", &path) {
            Ok(answer) => feed::said(&answer),
            Err(error) => error.to_string(),
        };
        // Nobody listens any more when the program ends.
        let _ = sender.send(News::Said(said));
    });
}
