//! One task per connection: it reads, lets the machine take what came, polls the exchanges that
//! have news, and writes what all of them made in one go.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::super::client::Outgoing;
use super::super::head::{Framing, RequestHead, Version};
use super::super::respond::{self, Local};
use super::super::{ConnInfo, Ended, Scene, exchange, record};
use super::client::H2;
use super::connection::{Arrival, Connection, Limits};
use super::exchanges::Exchanges;
use super::frame::{HEAD, Kind, MAX_PAYLOAD};
use super::stream::Key;
use super::waits::{self, LINGER, Seen, Verdict, Waits};
use crate::data::buffer::{Buffer, LARGE, SMALL};
use crate::data::stream::Stream;
use crate::data::timer::{Alarm, TICK};
use crate::data::worker::Worker;
use crate::error::Reason;

/// How often the task goes round before others have their turn.
const ROUNDS: usize = 16;
/// Bytes that are read and dropped meanwhile at most.
const LINGER_BYTES: usize = 256 * 1024;

/// Serves a connection until it ends. `input` holds what was read already.
pub async fn serve(worker: Rc<Worker>, conn: ConnInfo, stream: Stream, input: Buffer) {
    let limits = &conn.listener.policy.limits;
    let connection = Connection::new(Limits {
        streams: limits.streams,
        head: limits.head,
        fields: limits.fields,
    });
    let asked = worker.leave_signal(conn.asked);
    let now = Instant::now();
    let mut server = Server {
        alarm: worker.timer.alarm(),
        asked: Some(Box::pin(asked)),
        shared: Rc::new(Shared { worker, conn }),
        machine: Rc::new(RefCell::new(connection)),
        exchanges: Exchanges::default(),
        stream,
        input,
        unread: true,
        arrived: Vec::new(),
        plenty: false,
        began: now,
        now,
        waits: Waits::default(),
        shed: false,
    };
    // The task bounds its turns itself; the runtime's own counting would stop it in mid-turn.
    let turns = poll_fn(|cx| server.poll(cx));
    let lost = tokio::task::coop::unconstrained(turns).await;
    server.end(lost).await;
}

/// What all exchanges of a connection use.
struct Shared {
    worker: Rc<Worker>,
    conn: ConnInfo,
}

/// How the connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By this side, or in agreement.
    Order,
    /// The client went away or is cut.
    Lost,
}

struct Server {
    shared: Rc<Shared>,
    machine: Rc<RefCell<Connection>>,
    exchanges: Exchanges,
    stream: Stream,
    input: Buffer,
    /// There is input that the machine has not looked at.
    unread: bool,
    /// Requests that have come and not begun.
    arrived: Vec<Arrival>,
    /// Much came the last time.
    plenty: bool,
    alarm: Alarm,
    /// Ready once the client must leave; then gone.
    asked: Option<Pin<Box<dyn Future<Output = ()>>>>,
    began: Instant,
    /// When this turn began.
    now: Instant,
    waits: Waits,
    /// It makes room for another connection.
    shed: bool,
}

impl Server {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.now = Instant::now();
        self.exchanges.wakes(cx.waker());
        for _ in 0..ROUNDS {
            let read = match self.read(cx) {
                Ok(read) => read,
                Err(end) => return Poll::Ready(end),
            };
            let polled = self.poll_exchanges();
            let written = match self.write(cx) {
                Ok(written) => written,
                Err(end) => return Poll::Ready(end),
            };
            if self.machine.borrow().is_over() {
                return Poll::Ready(End::Order);
            }
            if !read && !polled && !written {
                return self.rest(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once and lets the machine take what there is; whether anything came of it.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.machine.borrow().is_full() {
            return Ok(false);
        }
        if self.unread {
            self.unread = false;
            self.take();
            return Ok(true);
        }
        let want = match self.input.len() {
            0 if self.plenty => LARGE,
            0 => SMALL,
            // A frame that is not complete yet needs room for its rest.
            n => (HEAD + MAX_PAYLOAD).saturating_sub(n).max(SMALL / 4),
        };
        match self.input.poll_read_from(cx, &mut self.stream, want) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.plenty = n > SMALL / 2;
                self.take();
                Ok(true)
            }
            Poll::Ready(_) => Err(End::Lost),
            Poll::Pending => Ok(false),
        }
    }

    /// Lets the machine take the input, and begins the exchanges that arrive.
    fn take(&mut self) {
        let now = self.now.saturating_duration_since(self.began).as_millis() as u64;
        let before = self.input.len();
        while !self.input.is_empty() {
            let (n, arrival) = self.machine.borrow_mut().receive(self.input.filled(), now);
            self.input.consume(n);
            let full = self.machine.borrow().is_full();
            match arrival {
                Some(arrival) => self.arrived.push(arrival),
                None => {
                    self.unread = full && !self.input.is_empty();
                    break;
                }
            }
        }
        self.begin_arrived();
        if self.input.len() < before && !self.machine.borrow().is_in_block() {
            self.waits.block_ended();
        }
        self.input.release();
    }

    /// Begins what came with the last input. What was taken back in the same breath never reaches a
    /// backend: rapid resets cost their sender more than anybody else (CVE-2023-44487).
    fn begin_arrived(&mut self) {
        let mut arrived = std::mem::take(&mut self.arrived);
        for arrival in arrived.drain(..) {
            let is_gone = self.machine.borrow_mut().is_gone(arrival.key);
            match is_gone {
                false => self.begin(arrival),
                true => {
                    let Shared { worker, conn } = &*self.shared;
                    let (listener, reason) = (&conn.listener, Reason::ClientClosed);
                    record::refused(worker, listener, conn.peer, Version::Http2, reason);
                    self.machine.borrow_mut().finish(arrival.key);
                }
            }
        }
        self.arrived = arrived;
    }

    fn begin(&mut self, Arrival { key, head }: Arrival) {
        self.waits.arrived();
        match head {
            Ok(request) => {
                let (shared, machine) = (self.shared.clone(), self.machine.clone());
                self.exchanges
                    .insert(key, serve_one(shared, machine, key, request));
                self.poll_one(key);
            }
            Err(reason) => self.refuse(key, reason),
        }
    }

    /// Answers what is no request that can be served.
    fn refuse(&mut self, key: Key, reason: Reason) {
        let Shared { worker, conn } = &*self.shared;
        record::refused(worker, &conn.listener, conn.peer, Version::Http2, reason);
        let (answer, date) = (Local::error(reason), respond::date());
        let lines = answer.lines(&date);
        let head = Outgoing {
            framing: Framing::None,
            content_length: Some(0),
            ..answer.outgoing(&lines, false)
        };
        let mut machine = self.machine.borrow_mut();
        machine.respond(key, &head, true);
        machine.finish(key);
    }

    fn poll_one(&mut self, key: Key) {
        if self.exchanges.poll(key).is_some() {
            self.machine.borrow_mut().finish(key);
        }
    }

    /// Polls the exchanges that have news, while there is room for what they make.
    fn poll_exchanges(&mut self) -> bool {
        let mut polled = false;
        loop {
            let touched = {
                let mut machine = self.machine.borrow_mut();
                match machine.is_full() && !machine.has_failed() {
                    true => return polled,
                    false => machine.next_touched(),
                }
            };
            let Some(key) = touched.or_else(|| self.exchanges.next_due()) else {
                return polled;
            };
            self.poll_one(key);
            polled = true;
        }
    }

    /// Writes what waits; whether the client took any of it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut machine = self.machine.borrow_mut();
        let mut written = false;
        while !machine.output().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, machine.output()) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    machine.wrote(n);
                    written = true;
                }
                Poll::Ready(_) => return Err(End::Lost),
                Poll::Pending => {
                    self.waits.took(false, written, self.now);
                    return Ok(written);
                }
            }
        }
        self.waits.took(true, written, self.now);
        // TLS may hold records back until the socket takes them.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(_)) => Err(End::Lost),
            _ => Ok(written),
        }
    }

    /// Nothing is left to do for now: looks at what is late and waits.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.see();
        let timeouts = &self.shared.conn.listener.policy.timeouts;
        let limits = waits::Limits {
            head: timeouts.head,
            idle: self
                .shared
                .worker
                .idle_limit(timeouts.idle, self.shared.conn.asked),
            taking: timeouts.idle,
        };
        let idle = self.waits.idle_left(limits, self.now);
        let verdict = self.waits.judge(limits, self.now);
        match verdict {
            Verdict::Cut => return Poll::Ready(End::Lost),
            Verdict::Ask => self.machine.borrow_mut().ask_to_leave(),
            Verdict::Tell => self.machine.borrow_mut().tell_leaving(),
            Verdict::Wait(_) if self.is_asked(cx) => self.machine.borrow_mut().ask_to_leave(),
            Verdict::Wait(_) if self.is_shed(cx, idle) => self.machine.borrow_mut().tell_leaving(),
            Verdict::Wait(after) => {
                match after {
                    Some(after) if idle.is_some() => self.alarm.set_idle(self.now, after),
                    Some(after) => self.alarm.set(self.now, after),
                    None => self.alarm.clear(),
                }
                let _ = self.alarm.poll_fired(cx);
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Notes what is waited for now.
    fn see(&mut self) {
        let mut machine = self.machine.borrow_mut();
        let idle = machine.count() == 0 && machine.output().is_empty();
        if idle {
            machine.rest();
            self.exchanges.rest();
            self.arrived.shrink_to(1);
        }
        let partial = !machine.is_full() && begins_block(self.input.filled());
        let seen = Seen {
            start: !machine.has_begun(),
            block: machine.is_in_block() || partial,
            request: idle && !machine.is_leaving(),
            farewell: machine.awaits_farewell(),
        };
        self.waits.see(seen, self.now);
    }

    /// Whether the client must leave since just now.
    fn is_asked(&mut self, cx: &mut Context<'_>) -> bool {
        let signal = self.asked.as_mut();
        let asked = signal.is_some_and(|signal| signal.as_mut().poll(cx).is_ready());
        if asked {
            self.asked = None;
        }
        asked
    }

    /// Whether this connection must make room for another, having been idle for longest.
    fn is_shed(&mut self, cx: &mut Context<'_>, idle: Option<Duration>) -> bool {
        // An alarm that only came a little early is none of that kind.
        let early = idle.is_some_and(|left| left > TICK);
        self.shed |= early && self.alarm.poll_fired(cx).is_ready();
        self.shed
    }

    /// Ends the connection, and lets what is under way on it notice.
    async fn end(mut self, end: End) {
        self.machine.borrow_mut().lose_all();
        if end == End::Order && !self.shed {
            linger(&self.alarm, &mut self.stream, &mut self.input).await;
        }
        drop(self.stream);
        let (machine, mut exchanges) = (self.machine, self.exchanges);
        poll_fn(|cx| {
            exchanges.wakes(cx.waker());
            loop {
                let touched = machine.borrow_mut().next_touched();
                let Some(key) = touched.or_else(|| exchanges.next_due()) else {
                    break;
                };
                if exchanges.poll(key).is_some() {
                    machine.borrow_mut().finish(key);
                }
            }
            match machine.borrow().count() {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

/// Serves one stream.
async fn serve_one(
    shared: Rc<Shared>,
    machine: Rc<RefCell<Connection>>,
    key: Key,
    request: RequestHead,
) -> Ended {
    let Shared { worker, conn } = &*shared;
    let alarm = worker.timer.alarm();
    let snapshot = worker.snapshots.load();
    let listener = snapshot
        .listener(conn.listener.id)
        .unwrap_or(&conn.listener);
    let mut client = H2::new(machine, key);
    let scene = Scene {
        worker,
        conn,
        listener,
        alarm: &alarm,
        snapshot: &snapshot,
    };
    exchange(&scene, &mut client, &request).await
}

/// Ends the sending side and reads on for a moment: bytes that arrive at a closed socket make the
/// kernel send a reset, and a reset may overtake the last frames.
async fn linger(alarm: &Alarm, stream: &mut Stream, input: &mut Buffer) {
    let mut read = 0;
    let last = async {
        // Whoever is gone already needs no farewell.
        let _ = stream.shutdown().await;
        poll_fn(|cx| {
            loop {
                let n = input.len();
                input.consume(n);
                match std::task::ready!(input.poll_read_from(cx, stream, SMALL)) {
                    Ok(n) if n > 0 && read < LINGER_BYTES => read += n,
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
    };
    let _ = alarm.within(LINGER, last).await;
}

/// Whether these bytes are the first of a frame that is no content.
fn begins_block(input: &[u8]) -> bool {
    !input.is_empty() && input.get(3) != Some(&(Kind::Data as u8))
}
