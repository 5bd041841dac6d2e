//! What an exchange needs of the client's side, whatever protocol version it speaks.

use std::task::{Context, Poll};

use super::body::Part;
use super::head::{Framing, RequestHead};
use crate::data::buffer::Buffer;
use crate::data::stream::Stream;
use crate::error::Reason;

/// A response's head on its way to the client.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The status code.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub phrase: &'a [u8],
    /// The fields, framing and hop-by-hop ones left out.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// How the body's end is told by the backend, or the switch itself.
    pub framing: Framing,
    /// What Content-Length tells, also where no body follows.
    pub content_length: Option<u64>,
    /// The client's connection must not serve another request.
    pub close: bool,
}

/// The client's side of one exchange.
pub trait Client {
    /// Waits for content of the request's body. [`Part::NeedMore`] is never given.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Reason>>;
    /// The content at hand.
    fn content(&self) -> &[u8];
    /// The content's first `n` bytes were passed on.
    fn took(&mut self, n: usize);
    /// The request's trailer lines, once the body has ended.
    fn trailers(&self) -> &[u8];
    /// Ready when the client has gone away. Only to be polled while the body is not.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Reason>;
    /// Sends an interim response (1xx) before anything else is sent.
    fn interim(&mut self, head: &Outgoing<'_>);
    /// Begins the final response; it is sent with the first content or flush.
    fn begin(&mut self, request: &RequestHead, head: &Outgoing<'_>) -> Result<(), Reason>;
    /// Sends content; resolves to the bytes taken.
    fn poll_send(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Poll<Result<usize, Reason>>;
    /// Waits until everything taken is out of the switch's hands.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>>;
    /// Ends the response.
    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: &[u8]) -> Poll<Result<(), Reason>>;
    /// Whether anything of the final response may have reached the client.
    fn has_begun(&self) -> bool;
    /// Whether the client understands interim responses (HTTP/1.0 clients do not).
    fn takes_interim(&self) -> bool;
    /// Content bytes of the request that were taken so far.
    fn body_bytes(&self) -> u64;
    /// The bare connection, for a tunnel after a 101; `None` where there is none.
    fn tunnel(&mut self) -> Option<(&mut Stream, &mut Buffer)>;
}
