//! Requests that an operator sends to see what becomes of them: one-time tokens, and what was noted of
//! the requests that bore them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::TraceId;

/// The field that bears a token; no backend sees it.
pub const FIELD: &str = "Pointsman-Trace";

/// Tokens at once.
const MOST: usize = 64;
/// How long a token is good, and how long what was told is kept.
const GOOD: Duration = Duration::from_secs(60);

/// The desk of one process.
#[derive(Debug, Default)]
pub struct Desk {
    /// Tokens that have not been seen yet: without any, no request is looked at.
    expected: AtomicUsize,
    slips: Mutex<HashMap<TraceId, Slip>>,
    told: Notify,
}

#[derive(Debug)]
struct Slip {
    until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Expected,
    UnderWay,
    Told(Box<Told>),
}

/// What somebody who asks hears.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// All of it; it is told once.
    All(Box<Told>),
    /// The request has not come yet, or goes on.
    NotYet,
    /// There is no such token, or none any more.
    Nothing,
}

impl Desk {
    /// A new token; `None` while too many are out.
    pub fn issue(&self, now: Instant) -> Option<TraceId> {
        let mut seed = [0; 16];
        aws_lc_rs::rand::fill(&mut seed).ok()?;
        let token = TraceId(u128::from_ne_bytes(seed));
        let mut slips = self.swept(now);
        if slips.len() >= MOST {
            return None;
        }
        let slip = Slip {
            until: now + GOOD,
            state: State::Expected,
        };
        slips.insert(token, slip);
        self.count(&slips);
        Some(token)
    }

    /// Whether a request with a token may come.
    pub fn expects(&self) -> bool {
        self.expected.load(Relaxed) > 0
    }

    /// Takes the token that a request bears, once. Whether it is one.
    pub fn claim(&self, token: TraceId, now: Instant) -> bool {
        let mut slips = self.swept(now);
        let Some(slip) = slips.get_mut(&token) else {
            return false;
        };
        let is_new = matches!(slip.state, State::Expected);
        if is_new {
            slip.state = State::UnderWay;
            self.count(&slips);
        }
        is_new
    }

    /// Tells what became of a request whose token was claimed.
    pub fn tell(&self, token: TraceId, told: Told, now: Instant) {
        let slip = Slip {
            until: now + GOOD,
            state: State::Told(Box::new(told)),
        };
        let mut slips = self.swept(now);
        if slips.len() < MOST || slips.contains_key(&token) {
            slips.insert(token, slip);
        }
        drop(slips);
        self.told.notify_waiters();
    }

    /// What is known by now.
    pub fn hear(&self, token: TraceId, now: Instant) -> Heard {
        let mut slips = self.swept(now);
        match slips.remove(&token) {
            None => Heard::Nothing,
            Some(Slip {
                state: State::Told(told),
                ..
            }) => Heard::All(told),
            Some(slip) => {
                slips.insert(token, slip);
                Heard::NotYet
            }
        }
    }

    /// The same once there is anything, or after `patience`.
    pub async fn wait(&self, token: TraceId, patience: Duration) -> Heard {
        let heard = async {
            loop {
                let told = self.told.notified();
                tokio::pin!(told);
                told.as_mut().enable();
                match self.hear(token, Instant::now()) {
                    Heard::NotYet => told.await,
                    heard => return heard,
                }
            }
        };
        let heard = tokio::time::timeout(patience, heard).await;
        heard.unwrap_or(Heard::NotYet)
    }

    fn swept(&self, now: Instant) -> MutexGuard<'_, HashMap<TraceId, Slip>> {
        let mut slips = self.slips.lock().unwrap_or_else(PoisonError::into_inner);
        // What is under way ends some time, and is told then.
        slips.retain(|_, slip| slip.until > now);
        self.count(&slips);
        slips
    }

    fn count(&self, slips: &HashMap<TraceId, Slip>) {
        let expected = slips.values();
        let expected = expected.filter(|slip| matches!(slip.state, State::Expected));
        self.expected.store(expected.count(), Relaxed);
    }
}

/// What became of one request. Another version may leave out or add fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Method, host and target.
    pub request: String,
    /// The listener that it came over.
    pub listener: String,
    /// Whom the switch took for the client.
    pub client: String,
    /// `HTTP/1.1` and so on.
    pub protocol: String,
    /// The route that took it, if any did.
    pub route: Option<String>,
    /// The pool that it went to, if it went to one.
    pub pool: Option<String>,
    /// The status that the client got.
    pub status: u16,
    /// What went wrong, if anything did.
    pub reason: Option<String>,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    /// The trace that it belongs to, where requests are traced.
    pub trace_id: Option<String>,
    /// What happened, in this order.
    pub steps: Vec<Step>,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Seconds since the connection was accepted.
    pub at: f64,
    /// A word for it: `accepted`, `head`, `route`, `pool`, `wait`, `try`, `connected`, `answer`, `failed`,
    /// `given-up`, `done`.
    pub step: String,
    /// The rest.
    pub text: String,
    /// The backend in question.
    pub backend: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once() {
        let (desk, now) = (Desk::default(), Instant::now());
        assert!(!desk.expects());
        let token = desk.issue(now).unwrap();
        assert!(desk.expects());
        assert!(!desk.claim(TraceId(token.0 ^ 1), now), "another one");
        assert_eq!(desk.hear(token, now), Heard::NotYet);
        assert!(desk.claim(token, now) && !desk.claim(token, now));
        assert!(!desk.expects());
        assert_eq!(desk.hear(token, now), Heard::NotYet);
        desk.tell(token, Told::default(), now);
        assert_eq!(desk.hear(token, now), Heard::All(Box::default()));
        assert_eq!(desk.hear(token, now), Heard::Nothing);
    }

    #[test]
    fn tokens_are_few_and_grow_old() {
        let (desk, now) = (Desk::default(), Instant::now());
        let tokens: Vec<_> = (0..MOST).filter_map(|_| desk.issue(now)).collect();
        assert_eq!(tokens.len(), MOST);
        assert_eq!(desk.issue(now), None);
        let later = now + GOOD;
        assert!(!desk.claim(tokens[0], later) && !desk.expects());
        assert!(desk.issue(later).is_some());
        // A request that took longer than its token was good is told all the same.
        desk.tell(tokens[1], Told::default(), later);
        assert_eq!(desk.hear(tokens[1], later), Heard::All(Box::default()));
    }
}
