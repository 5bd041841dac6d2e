//! The agent beside a server: it registers the server with switches, tells how it stands, and says
//! farewell when it ends.
//!
//! Each switch has a task of its own ([`link`]), which connects again and again; what all of them
//! tell is one [`Standing`], which lies in a channel that remembers the last value. [`ready`] asks the
//! server whether it is fit.

mod backoff;
mod link;
mod links;
mod load;
mod ready;
pub mod settings;

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use self::links::{Links, News};
pub use self::settings::Settings;
use crate::protocol::message::Standing;

/// The service manager hears that the agent is there at the latest after so long: switches that are
/// away must not keep the host from starting.
const START_LIMIT: Duration = Duration::from_secs(10);
/// For switches to take note of the farewell.
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);

/// Runs until `stop` is there; `say` tells the operator.
///
/// # Errors
/// What the agent cannot begin with.
pub async fn run(
    settings: Settings,
    stop: impl Future<Output = ()>,
    say: impl Fn(&str),
) -> io::Result<()> {
    let (standing, _) = watch::channel(first(&settings));
    let mut links = Links::start(&settings, &standing);
    let watching = ready::watch(&settings, &standing);
    let mut started = false;
    let late = tokio::time::sleep(START_LIMIT);
    tokio::pin!(stop, late, watching);
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = &mut watching => {}
            () = &mut late, if !started => started = notify_ready(),
            Some(news) = links.next() => {
                say(&news.to_string());
                if matches!(news, News::Accepted { .. }) && !started {
                    started = notify_ready();
                }
                let _ = sd_notify::notify(&[NotifyState::Status(&links.summary())]);
            }
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    say("says farewell");
    links.say_farewell();
    let _ = tokio::time::timeout(FAREWELL_LIMIT, links.released(&say)).await;
    links.end().await;
    Ok(())
}

fn notify_ready() -> bool {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    true
}

/// Before the server was asked for the first time.
fn first(settings: &Settings) -> Standing {
    Standing {
        weight: settings.weight,
        ready: settings.ready.is_none(),
        why: match settings.ready {
            Some(_) => "it has not been asked yet".to_owned(),
            None => String::new(),
        },
        load: String::new(),
        holds: vec![],
    }
}
