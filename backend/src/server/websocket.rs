//! A WebSocket echo (RFC 6455): every frame comes back as it was sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::control::Stage;
use super::frame::{self, Head, Refusal};
use super::until;

/// What the key of a handshake is joined with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The status that tells that the server goes away (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// The value of `Sec-WebSocket-Accept`; `None`: the request is no handshake (section 4.2.1).
pub(super) fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let is = |name, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(wanted))
    };
    let key = headers.get("sec-websocket-key")?.as_bytes();
    let whole = STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
    let version = headers.get("sec-websocket-version")?.as_bytes() == b"13";
    if !(whole && version && is(UPGRADE, "websocket") && is(CONNECTION, "upgrade")) {
        return None;
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(digest)).ok()
}

/// Echoes until either side ends.
pub(super) async fn serve(upgrade: OnUpgrade, mut stage: watch::Receiver<Stage>) {
    let mut draining = stage.clone();
    let Ok(upgraded) = upgrade.await else { return };
    let mut io = TokioIo::new(upgraded);
    tokio::select! {
        // A killed server counts as draining too, but says no goodbye.
        biased;
        () = until(&mut stage, Stage::Killed) => {}
        outcome = echo(&mut io, until(&mut draining, Stage::Draining)) => {
            // The client is gone already when this fails.
            let _ = finish(&mut io, outcome).await;
        }
    }
}

/// Why an echo ended.
enum Outcome {
    /// The client closed, with this payload.
    Closed(Vec<u8>),
    /// A frame was refused.
    Refused(Refusal),
    /// The server goes away.
    Drained,
    /// The connection broke.
    Broken,
}

async fn echo(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    drained: impl Future<Output = ()>,
) -> Outcome {
    let mut drained = std::pin::pin!(drained);
    loop {
        let mut start = [0; 2];
        // Between frames only: what was begun is answered.
        tokio::select! {
            read = io.read_exact(&mut start) => if read.is_err() { return Outcome::Broken },
            () = drained.as_mut() => return Outcome::Drained,
        }
        match exchange(io, start).await {
            Ok(None) => {}
            Ok(Some(payload)) => return Outcome::Closed(payload),
            Err(Failure::Refused(why)) => return Outcome::Refused(why),
            Err(Failure::Broken) => return Outcome::Broken,
        }
    }
}

enum Failure {
    Refused(Refusal),
    Broken,
}

/// Reads the frame that begins with `start` and answers it; the payload of a close frame is
/// returned instead.
async fn exchange(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    start: [u8; 2],
) -> Result<Option<Vec<u8>>, Failure> {
    let mut rest = [0; 12];
    let rest = &mut rest[..Head::rest(start).map_err(Failure::Refused)?];
    io.read_exact(rest).await.map_err(|_| Failure::Broken)?;
    let head = Head::read(start, rest).map_err(Failure::Refused)?;
    let mut payload = vec![0; head.length as usize];
    io.read_exact(&mut payload)
        .await
        .map_err(|_| Failure::Broken)?;
    frame::unmask(&mut payload, head.mask);
    let answer = match head.opcode {
        frame::CLOSE => return Ok(Some(payload)),
        frame::PONG => return Ok(None),
        frame::PING => frame::frame(true, frame::PONG, &payload),
        opcode => frame::frame(head.last, opcode, &payload),
    };
    io.write_all(&answer).await.map_err(|_| Failure::Broken)?;
    Ok(None)
}

async fn finish(io: &mut (impl AsyncWrite + Unpin), outcome: Outcome) -> std::io::Result<()> {
    let payload = match outcome {
        Outcome::Closed(payload) => payload,
        Outcome::Refused(why) => why.status().to_be_bytes().to_vec(),
        Outcome::Drained => GOING_AWAY.to_be_bytes().to_vec(),
        Outcome::Broken => return Ok(()),
    };
    io.write_all(&frame::frame(true, frame::CLOSE, &payload))
        .await?;
    io.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_handshake_of_rfc_6455_is_answered_with_its_accept_value() {
        assert_eq!(
            accept(&handshake()).unwrap(),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn a_handshake_that_lacks_a_field_is_refused() {
        for name in [
            "connection",
            "upgrade",
            "sec-websocket-version",
            "sec-websocket-key",
        ] {
            let mut headers = handshake();
            headers.remove(name);
            assert_eq!(accept(&headers), None, "{name}");
        }
        let mut headers = handshake();
        headers.insert("sec-websocket-key", HeaderValue::from_static("c2hvcnQ="));
        assert_eq!(accept(&headers), None, "a nonce must be 16 bytes");
    }
}
