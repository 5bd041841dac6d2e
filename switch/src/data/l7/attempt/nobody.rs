//! The client's side of a try that is one of two: nothing is taken from the client and nothing sent to
//! it until it is known which of them counts. Only requests without a body are tried like that.

use std::task::{Context, Poll};

use super::super::body::Part;
use super::super::client::{Client, Outgoing};
use super::super::head::RequestHead;
use crate::data::buffer::Buffer;
use crate::data::stream::Stream;
use crate::error::Reason;

/// A client that has said all and hears nothing.
pub(super) struct Nobody;

impl Client for Nobody {
    fn poll_body(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Part, Reason>> {
        Poll::Ready(Ok(Part::End))
    }

    fn content(&self) -> &[u8] {
        &[]
    }

    fn took(&mut self, _n: usize) {}

    fn trailers(&self) -> &[u8] {
        &[]
    }

    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<Reason> {
        Poll::Pending
    }

    fn interim(&mut self, _head: &Outgoing<'_>) {}

    fn begin(&mut self, _request: &RequestHead, _head: &Outgoing<'_>) -> Result<(), Reason> {
        Ok(())
    }

    fn poll_send(&mut self, _cx: &mut Context<'_>, content: &[u8]) -> Poll<Result<usize, Reason>> {
        Poll::Ready(Ok(content.len()))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>, _trailers: &[u8]) -> Poll<Result<(), Reason>> {
        Poll::Ready(Ok(()))
    }

    fn has_begun(&self) -> bool {
        false
    }

    fn takes_interim(&self) -> bool {
        false
    }

    fn body_bytes(&self) -> u64 {
        0
    }

    fn tunnel(&mut self) -> Option<(&mut Stream, &mut Buffer)> {
        None
    }
}
