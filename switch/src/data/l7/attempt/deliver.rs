//! Passing a backend's answer on to the client, or giving it up for another one.

use super::super::client::{Client, Outgoing};
use super::super::head::{Framing, ResponseHead};
use super::super::record::Record;
use super::super::relay::{self, Download};
use super::super::{Ended, must_close, respond, tunnel};
use super::trial::{Answer, Trial};
use crate::data::verdict;
use crate::endpoint::Endpoint;
use crate::error::{Reason, Side};
use crate::event::Event;

impl Trial<'_> {
    /// Gives the answer up; its connection is kept if all of the answer is there.
    pub(super) fn discard(&self, mut answer: Answer<'_>) {
        let length = match answer.head.framing {
            Some(Framing::None) => 0,
            Some(Framing::Length(n)) => n,
            _ => return,
        };
        let whole = (answer.head.length as u64).saturating_add(length);
        if answer.up.input.len() as u64 == whole {
            answer.up.input.consume(answer.up.input.len());
            self.keep(answer);
        }
    }

    /// Passes the answer on and keeps the connection if it can serve again.
    pub(super) async fn deliver<C: Client>(
        &self,
        client: &mut C,
        mut answer: Answer<'_>,
        record: &mut Record<'_>,
    ) -> Result<Ended, Reason> {
        record.status = answer.head.status;
        let (head, up) = (&answer.head, &mut answer.up);
        if head.status == 101 {
            return self.tunnel(client, answer, record).await;
        }
        let framing = head.framing.unwrap_or(Framing::Close);
        let close = must_close(self.scene, client, self.request);
        let cookie = self.set_cookie(answer.entered.endpoint());
        let lines = self.lines(head, up.input.filled(), cookie.as_deref());
        client.begin(
            self.request,
            &outgoing(head, up.input.filled(), &lines, framing, close),
        )?;
        drop(lines);
        up.input.consume(head.length);
        let mut download = Download::new(framing);
        let outcome = relay::body(
            client,
            up,
            &mut answer.upload,
            &mut download,
            &mut answer.watch,
        )
        .await;
        record.response_bytes = download.bytes;
        outcome.inspect_err(|reason| self.cut_short(&answer, *reason))?;
        if !verdict::is_error(answer.head.status) {
            answer.entered.endpoint().errors.went_well();
        }
        self.keep(answer);
        Ok(Ended::Complete)
    }

    fn keep(&self, answer: Answer<'_>) {
        let clean = answer.upload.done && !answer.upload.broken && answer.up.input.is_empty();
        if answer.head.keep_alive && clean && !self.scene.worker.is_draining() {
            let (endpoint, keep) = (answer.entered.endpoint(), self.pool.idle_timeout);
            self.scene.worker.upstreams.put(endpoint, answer.up, keep);
        }
    }

    /// The header of the answer as the client gets it.
    fn lines<'l>(
        &'l self,
        head: &ResponseHead,
        bytes: &'l [u8],
        cookie: Option<&'l str>,
    ) -> respond::Lines<'l> {
        let mut lines = respond::fields(head, bytes, &self.route.response_headers);
        lines.extend(cookie.map(|cookie| (&b"Set-Cookie"[..], cookie.as_bytes())));
        lines
    }

    fn set_cookie(&self, endpoint: &Endpoint) -> Option<String> {
        let over_tls = self.scene.conn.scheme == "https";
        self.stay?.set_cookie(endpoint, over_tls)
    }

    fn cut_short(&self, answer: &Answer<'_>, reason: Reason) {
        if reason.side() != Side::Endpoint {
            return;
        }
        let endpoint = answer.entered.endpoint();
        // Its status has counted already otherwise.
        if !verdict::is_error(answer.head.status) {
            verdict::failed(self.scene.worker, self.pool, endpoint, reason);
        }
        self.scene.worker.events.send(Event::EndpointFailed {
            endpoint: endpoint.clone(),
            reason,
        });
    }

    async fn tunnel<C: Client>(
        &self,
        client: &mut C,
        mut answer: Answer<'_>,
        record: &mut Record<'_>,
    ) -> Result<Ended, Reason> {
        let (head, up) = (&answer.head, &mut answer.up);
        let cookie = self.set_cookie(answer.entered.endpoint());
        let mut lines = self.lines(head, up.input.filled(), cookie.as_deref());
        let protocol = self
            .request
            .upgrade
            .map(|span| self.request.get(span))
            .unwrap_or_default();
        lines.push((b"Connection", b"Upgrade"));
        lines.push((b"Upgrade", protocol));
        client.interim(&outgoing(
            head,
            up.input.filled(),
            &lines,
            Framing::None,
            false,
        ));
        drop(lines);
        up.input.consume(head.length);
        std::future::poll_fn(|cx| client.poll_flush(cx)).await?;
        answer.entered.endpoint().errors.went_well();
        let (stream, input) = client.tunnel().ok_or(Reason::Internal)?;
        let line = self.scene.worker.lines.enter(answer.entered.endpoint());
        let moved = tunnel::run(
            (stream, input),
            (&mut up.stream, &mut up.input),
            &line,
            self.scene.alarm,
            self.route.timeouts.tunnel,
        )
        .await;
        record.request_bytes = moved.up;
        record.response_bytes = moved.down;
        Ok(Ended::Tunnelled)
    }
}

/// A backend's head on its way to the client; it was parsed from these bytes.
pub(in super::super) fn outgoing<'o>(
    head: &ResponseHead,
    bytes: &'o [u8],
    lines: &'o [(&'o [u8], &'o [u8])],
    framing: Framing,
    close: bool,
) -> Outgoing<'o> {
    Outgoing {
        status: head.status,
        phrase: head.phrase.in_bytes(bytes),
        fields: lines,
        framing,
        content_length: head
            .content_length
            .filter(|_| !matches!(head.status, 100..200 | 204)),
        close,
    }
}
