//! A check by a conversation: bytes that are sent, and bytes that must come.

use pointsman_config::policy::ScriptStep;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{MAX_BODY, Progress};

/// Bytes of what came instead that are shown.
const SHOWN: usize = 64;

/// Plays the steps one after the other.
///
/// # Errors
/// What did not come, and what came instead.
pub(super) async fn play<S>(
    mut stream: S,
    steps: &[ScriptStep],
    progress: &Progress,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // What a step leaves over may be what the next one waits for.
    let mut heard = Vec::new();
    for step in steps {
        let sent = async {
            stream.write_all(&step.send).await?;
            stream.flush().await
        };
        sent.await
            .map_err(|error| format!("cannot send: {error}"))?;
        if !step.expect.is_empty() {
            wait_for(&mut stream, &step.expect, &mut heard, progress).await?;
        }
    }
    Ok(())
}

async fn wait_for<S>(
    stream: &mut S,
    text: &[u8],
    heard: &mut Vec<u8>,
    progress: &Progress,
) -> Result<(), String>
where
    S: AsyncRead + Unpin,
{
    let mut searched = 0;
    loop {
        let from = searched_again(searched, text);
        if let Some(at) = memchr::memmem::find(&heard[from..], text) {
            heard.drain(..from + at + text.len());
            return Ok(());
        }
        searched = heard.len();
        if heard.len() >= MAX_BODY {
            return Err(missing(text, "in 64 KiB", heard));
        }
        progress.waits_for(missing(text, "in time", heard));
        let mut part = [0; 4096];
        let room = part.len().min(MAX_BODY - heard.len());
        match stream.read(&mut part[..room]).await {
            Ok(0) => return Err(missing(text, "before the end", heard)),
            Ok(length) => heard.extend_from_slice(&part[..length]),
            Err(error) => return Err(missing(text, &format!("({error})"), heard)),
        }
    }
}

/// The text may have begun in what was searched.
fn searched_again(searched: usize, text: &[u8]) -> usize {
    searched.saturating_sub(text.len().saturating_sub(1))
}

fn missing(text: &[u8], when: &str, heard: &[u8]) -> String {
    let came = &heard[..heard.len().min(SHOWN)];
    let instead = match came {
        [] => String::new(),
        came => format!(", but \"{}\"", came.escape_ascii()),
    };
    format!("\"{}\" did not come {when}{instead}", text.escape_ascii())
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn step(send: &[u8], expect: &[u8]) -> ScriptStep {
        ScriptStep {
            send: send.to_vec(),
            expect: expect.to_vec(),
        }
    }

    /// What the check makes of a server that says these things, a pause before each, and ends; and
    /// what it has sent.
    async fn against(says: &[&[u8]], steps: &[ScriptStep]) -> (Result<(), String>, Vec<u8>) {
        let (own, mut other) = duplex(4096);
        let says: Vec<Vec<u8>> = says.iter().map(|part| part.to_vec()).collect();
        let server = tokio::spawn(async move {
            for part in says {
                tokio::task::yield_now().await;
                let _ = other.write_all(&part).await;
            }
            let _ = other.shutdown().await;
            let mut got = Vec::new();
            let _ = other.read_to_end(&mut got).await;
            got
        });
        let result = play(own, steps, &Progress::default()).await;
        (result, server.await.expect("the server ends"))
    }

    #[tokio::test]
    async fn a_conversation_passes_step_by_step_however_the_bytes_are_cut() {
        let steps = [step(b"", b"220 "), step(b"QUIT\r\n", b"221 ")];
        for says in [
            &[&b"220 hello\r\n221 bye\r\n"[..]][..],
            &[b"22", b"0 hello\r\n", b"2", b"2", b"1 bye\r\n"],
        ] {
            let (result, got) = against(says, &steps).await;
            assert_eq!((result, got), (Ok(()), b"QUIT\r\n".to_vec()));
        }
    }

    #[tokio::test]
    async fn what_came_instead_is_told() {
        let (result, _) = against(&[b"-ERR \xff\r\n"], &[step(b"PING\r\n", b"+PONG")]).await;
        let error = result.expect_err("it did not come");
        assert_eq!(
            error,
            "\"+PONG\" did not come before the end, but \"-ERR \\xff\\r\\n\""
        );
    }

    #[tokio::test]
    async fn what_was_matched_is_not_matched_again() {
        let (result, _) = against(&[b"ok"], &[step(b"", b"ok"), step(b"", b"ok")]).await;
        assert!(result.is_err());
    }

    #[tokio::test]
    async fn a_talkative_server_is_not_listened_to_for_ever() {
        let flood = vec![b'x'; 2 * MAX_BODY];
        let (result, _) = against(&[&flood], &[step(b"", b"y")]).await;
        assert!(result.is_err_and(|error| error.contains("in 64 KiB")));
    }
}
