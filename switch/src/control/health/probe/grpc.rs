//! The gRPC health checking protocol (grpc.health.v1, `Check`), over HTTP/2 with prior knowledge.
//! Its two messages have one field each, so they are read and written here.

use bytes::{Buf as _, Bytes, BytesMut};
use h2::{RecvStream, client};
use http::{HeaderMap, Method, Request, Version};
use tokio::io::{AsyncRead, AsyncWrite};

/// `HealthCheckResponse.ServingStatus`, by number.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/// Bytes of an answer, and of its fields, at most.
const MOST: u32 = 16 << 10;
/// `grpc-status` of a call that went well.
const OK: &str = "0";

/// Asks whether the service serves.
///
/// # Errors
/// What was not as expected.
pub(super) async fn ask<S>(stream: S, service: &str, authority: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(MOST)
        .max_header_list_size(MOST);
    let (sender, connection) = builder.handshake(stream).await.map_err(not_http2)?;
    let exchange = call(sender, service, authority);
    // The connection makes progress only while it is polled, and the exchange ends first.
    let driver = async {
        if let Err(error) = connection.await {
            return not_http2(error);
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        result = exchange => result,
        error = driver => Err(error),
    }
}

async fn call(
    sender: client::SendRequest<Bytes>,
    service: &str,
    authority: &str,
) -> Result<(), String> {
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "pointsman/health")
        .body(())
        .map_err(|error| format!("health.host: {error}"))?;
    let mut sender = sender.ready().await.map_err(not_http2)?;
    let (response, mut upload) = sender.send_request(request, false).map_err(not_http2)?;
    upload
        .send_data(question(service), true)
        .map_err(not_http2)?;
    let (head, body) = response.await.map_err(not_http2)?.into_parts();
    if head.status != 200 {
        return Err(format!("status {}", head.status.as_u16()));
    }
    // An error without a message comes in the head alone.
    is_ok(&head.headers)?;
    let (message, trailers) = read(body).await?;
    is_ok(&trailers)?;
    match status(&message) {
        Some(1) => Ok(()),
        Some(other) => {
            let word = usize::try_from(other).ok().and_then(|at| STATUSES.get(at));
            Err(word.map_or(format!("status {other}"), |word| (*word).to_owned()))
        }
        None => Err("the answer is no HealthCheckResponse".to_owned()),
    }
}

async fn read(mut body: RecvStream) -> Result<(Bytes, HeaderMap), String> {
    let mut all = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(not_http2)?;
        let _ = body.flow_control().release_capacity(part.len());
        if all.len() + part.len() > MOST as usize {
            return Err("the answer is too long".to_owned());
        }
        all.extend_from_slice(&part);
    }
    let trailers = body.trailers().await.map_err(not_http2)?;
    Ok((all.freeze(), trailers.unwrap_or_default()))
}

fn is_ok(fields: &HeaderMap) -> Result<(), String> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some(OK) => Ok(()),
        Some(code) => {
            let message = text("grpc-message").unwrap_or_default();
            let shown: String = message.chars().take(200).collect();
            Err(format!("grpc-status {code} {shown}").trim_end().to_owned())
        }
    }
}

/// A `HealthCheckRequest` behind its prefix: not compressed, and how long it is.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push((1 << 3) | 2);
        varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.append(&mut message);
    framed.into()
}

/// The status in a `HealthCheckResponse` behind its prefix; `None`: that is none.
fn status(mut bytes: &[u8]) -> Option<u64> {
    let (compressed, length) = (bytes.try_get_u8().ok()?, bytes.try_get_u32().ok()?);
    let mut message = bytes.get(..length as usize).filter(|_| compressed == 0)?;
    let mut status = 0;
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = read_varint(&mut message)?,
            (_, 0) => drop(read_varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn not_http2(error: h2::Error) -> String {
    format!("not gRPC over HTTP/2: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_what_protobuf_makes_of_it() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], [0, 0, 0, 0, 4, 10, 2, b'a', b'b']);
        let long = "x".repeat(200);
        assert_eq!(&question(&long)[..8], [0, 0, 0, 0, 203, 10, 0xc8, 1]);
    }

    #[test]
    fn the_status_is_found_among_unknown_fields_and_nonsense_is_none() {
        let framed = |message: &[u8]| {
            let mut bytes = vec![0, 0, 0, 0, message.len() as u8];
            bytes.extend_from_slice(message);
            bytes
        };
        let cases: [(&[u8], Option<u64>); 8] = [
            (&[8, 1], Some(1)),
            (&[8, 2], Some(2)),
            (&[], Some(0)),
            (&[18, 2, 8, 1, 8, 1, 25, 0, 0, 0, 0, 0, 0, 0, 0], Some(1)),
            (&[37, 0, 0, 0, 0, 8, 3], Some(3)),
            (&[8], None),
            (&[18, 200, 1], None),
            (&[0xff; 12], None),
        ];
        for (message, expected) in cases {
            assert_eq!(status(&framed(message)), expected, "{message:?}");
        }
        for bytes in [&[][..], &[0, 0, 0], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 9, 8]] {
            assert_eq!(status(bytes), None, "{bytes:?}");
        }
    }
}
