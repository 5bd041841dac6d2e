//! The client's side of one exchange. No waker is kept for what the client does: the connection's
//! own task polls the exchange when its stream is touched.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::super::body::Part;
use super::super::client::{Client, Outgoing};
use super::super::head::{Framing, RequestHead};
use super::connection::{Body, Connection, Sent};
use super::stream::Key;
use crate::data::buffer::Buffer;
use crate::data::stream::Stream;
use crate::error::Reason;

/// One stream as an exchange sees it.
#[derive(Debug)]
pub struct H2 {
    connection: Rc<RefCell<Connection>>,
    key: Key,
    content: Buffer,
    trailers: Vec<u8>,
    body_ended: bool,
    bytes: u64,
    begun: bool,
    /// Content that the response's framing still promises: the last of it ends the stream.
    left: Option<u64>,
}

impl H2 {
    /// The stream at this place of the connection.
    pub fn new(connection: Rc<RefCell<Connection>>, key: Key) -> Self {
        Self {
            connection,
            key,
            content: Buffer::new(),
            trailers: Vec::new(),
            body_ended: false,
            bytes: 0,
            begun: false,
            left: None,
        }
    }
}

impl Client for H2 {
    fn poll_body(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Part, Reason>> {
        if !self.content.is_empty() {
            return Poll::Ready(Ok(Part::Content(self.content.len())));
        }
        if self.body_ended {
            return Poll::Ready(Ok(Part::End));
        }
        let mut connection = self.connection.borrow_mut();
        match connection.body(self.key, &mut self.content) {
            Body::Content => Poll::Ready(Ok(Part::Content(self.content.len()))),
            Body::Wait => Poll::Pending,
            Body::Gone => Poll::Ready(Err(Reason::ClientClosed)),
            Body::End(trailers) => {
                self.trailers = trailers;
                self.body_ended = true;
                Poll::Ready(Ok(Part::End))
            }
        }
    }

    fn content(&self) -> &[u8] {
        self.content.filled()
    }

    fn took(&mut self, n: usize) {
        self.content.consume(n);
        self.content.release();
        self.bytes += n as u64;
        self.connection.borrow_mut().took(self.key, n);
    }

    fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<Reason> {
        match self.connection.borrow_mut().is_gone(self.key) {
            true => Poll::Ready(Reason::ClientClosed),
            false => Poll::Pending,
        }
    }

    fn interim(&mut self, head: &Outgoing<'_>) {
        // An interim response that cannot be sent is missed by nobody.
        let _ = self.connection.borrow_mut().respond(self.key, head, false);
    }

    fn begin(&mut self, request: &RequestHead, head: &Outgoing<'_>) -> Result<(), Reason> {
        let bodiless = matches!(head.framing, Framing::None | Framing::Length(0));
        let last = bodiless || request.method() == b"HEAD";
        self.left = match head.framing {
            Framing::Length(n) => Some(n),
            _ => None,
        };
        match self.connection.borrow_mut().respond(self.key, head, last) {
            true => {
                self.begun = true;
                Ok(())
            }
            false => Err(Reason::ClientClosed),
        }
    }

    fn poll_send(&mut self, _cx: &mut Context<'_>, content: &[u8]) -> Poll<Result<usize, Reason>> {
        let mut connection = self.connection.borrow_mut();
        match connection.send(self.key, content, self.left) {
            Sent::Wait => Poll::Pending,
            Sent::Gone => Poll::Ready(Err(Reason::ClientClosed)),
            Sent::Taken(n) => {
                self.left = self.left.map(|left| left.saturating_sub(n as u64));
                Poll::Ready(Ok(n))
            }
        }
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        // The connection's own task writes.
        match self.connection.borrow_mut().is_gone(self.key) {
            true => Poll::Ready(Err(Reason::ClientClosed)),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>, trailers: &[u8]) -> Poll<Result<(), Reason>> {
        match self.connection.borrow_mut().end(self.key, trailers) {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(Reason::ClientClosed)),
        }
    }

    fn has_begun(&self) -> bool {
        self.begun
    }

    fn takes_interim(&self) -> bool {
        true
    }

    fn body_bytes(&self) -> u64 {
        self.bytes
    }

    fn tunnel(&mut self) -> Option<(&mut Stream, &mut Buffer)> {
        None
    }
}
