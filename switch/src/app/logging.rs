//! The log: one line per event on standard error.

use tracing_subscriber::EnvFilter;

use super::output;

/// Starts the log. `level` comes from the command line; without it `POINTSMAN_LOG` counts, then
/// `default`.
///
/// # Errors
/// The level is not understood.
pub(super) fn start(level: Option<&str>, default: &str) -> Result<(), String> {
    let from_env = std::env::var("POINTSMAN_LOG")
        .ok()
        .filter(|level| !level.is_empty());
    let level = level.or(from_env.as_deref()).unwrap_or(default);
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("the log level {level:?} is not understood: {error}"))?;
    // The journal puts a time on every line already.
    let journal = is_journal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::color_err())
        .with_target(false)
        .compact();
    let started = if journal {
        builder.without_time().try_init()
    } else {
        builder.try_init()
    };
    started.map_err(|error| error.to_string())
}

/// Whether standard error is the journal: `JOURNAL_STREAM` names its device and inode
/// (systemd.exec(5)), and children inherit it wherever their own output goes.
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let found = rustix::fs::fstat(std::io::stderr());
    found.is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
}
