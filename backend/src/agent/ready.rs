//! Whether the server is fit: it is asked over HTTP.

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Settings;
use super::load::Processors;
use crate::protocol::message::{MAX_TEXT, Standing};

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often the load is told where nobody is asked.
const LOOK: Duration = Duration::from_secs(1);

/// What an answer says.
struct Answer {
    /// Why the server is not fit, if it is not.
    trouble: Option<String>,
    /// What it reports of its load.
    load: Option<String>,
}

/// Keeps the standing up to date. Never ends.
pub(super) async fn watch(settings: &Settings, standing: &watch::Sender<Standing>) {
    let mut processors = Processors::default();
    let pause = match settings.ready {
        Some(_) => settings.ready_interval,
        None => LOOK,
    };
    loop {
        let answer = match &settings.ready {
            Some(url) => ask(url).await,
            None => Answer {
                trouble: None,
                load: None,
            },
        };
        // With the processors' load alone a switch cannot weigh: of a server that it speaks to
        // itself it knows more.
        let own = settings.tells_load.then(|| processors.report()).flatten();
        let load = answer.load.or(own).unwrap_or_default();
        standing.send_if_modified(|standing| {
            let ready = answer.trouble.is_none();
            let why = answer.trouble.unwrap_or_default();
            let differs = (standing.ready, &standing.why, &standing.load) != (ready, &why, &load);
            (standing.ready, standing.why, standing.load) = (ready, why, load);
            differs
        });
        tokio::time::sleep(pause).await;
    }
}

async fn ask(url: &Uri) -> Answer {
    let answer = match tokio::time::timeout(TIMEOUT, get(url)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{url} does not answer within {TIMEOUT:?}")),
    };
    answer.unwrap_or_else(|trouble| Answer {
        trouble: Some(printable(trouble)),
        load: None,
    })
}

async fn get(url: &Uri) -> Result<Answer, String> {
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let tell = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let stream = TcpStream::connect((bare, port)).await;
    let stream = stream.map_err(|error| tell(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| tell(&error))?;
    let connection = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or(host, |authority| authority.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| tell(&error))?;
    let response = sender.send_request(request).await;
    connection.abort();
    let response = response.map_err(|error| tell(&error))?;
    let status = response.status();
    let load = response.headers().get("endpoint-load-metrics");
    let load = load.and_then(|value| value.to_str().ok());
    Ok(Answer {
        trouble: (!status.is_success()).then(|| format!("{url} answers {}", status.as_u16())),
        load: load.filter(|load| load.len() <= MAX_TEXT).map(printable),
    })
}

/// As much as a message may hold.
pub(super) fn printable(text: impl AsRef<str>) -> String {
    let mut printable = String::new();
    let letters = text.as_ref().chars().filter(|letter| !letter.is_control());
    for letter in letters {
        if printable.len() + letter.len_utf8() > MAX_TEXT {
            break;
        }
        printable.push(letter);
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Options, Server};

    #[tokio::test]
    async fn a_server_that_answers_is_fit_and_tells_its_load() {
        let options = Options {
            report_load: true,
            ..Options::default()
        };
        let server = Server::bind(options).await.unwrap();
        let addr = server.local_addr();
        let control = server.control();
        let task = tokio::spawn(server.run(std::future::pending()));
        let answer = ask(&format!("http://{addr}/healthz").parse().unwrap()).await;
        assert_eq!(answer.trouble, None);
        assert!(answer.load.unwrap().starts_with("TEXT "));
        control.kill();
        task.abort();
        let gone = ask(&format!("http://{addr}/").parse().unwrap()).await;
        assert!(gone.trouble.unwrap().contains(&addr.to_string()));
    }

    #[test]
    fn what_is_told_fits_into_a_message() {
        assert_eq!(printable("a\r\nb"), "ab");
        assert_eq!(printable("ä".repeat(MAX_TEXT)).len(), MAX_TEXT);
    }
}
