//! HTTP/2 clients that are slow, many or wrong, made of the h2 library.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;

use crate::support::*;

/// Runs a client to its end.
fn with_client<F: Future<Output = ()>>(
    address: SocketAddr,
    client: impl FnOnce(SendRequest<Bytes>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        tokio::time::timeout(PATIENCE, client(requests))
            .await
            .expect("in time");
        driver.abort();
    });
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://localhost{path}"))
        .body(())
        .unwrap()
}

async fn read(mut body: h2::RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        let _ = body.flow_control().release_capacity(part.len());
        all.extend_from_slice(&part);
    }
    Ok(all)
}

fn resident(switch: &Switch) -> f64 {
    let metrics = switch.admin("GET", "/metrics").1;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("process_resident_memory_bytes "));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .expect("the metric")
}

#[test]
fn streams_that_are_not_read_cost_little_memory_and_hold_no_other_up() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    let before = resident(&switch);
    with_client(switch.address("web"), async |requests| {
        let mut requests = requests.ready().await.unwrap();
        let mut held = Vec::new();
        for _ in 0..50 {
            let (response, _) = requests.send_request(get("/size/268435456"), true).unwrap();
            held.push(response.await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let grown = resident(&switch) - before;
        assert!(grown < f64::from(48 << 20), "{grown} bytes for 50 streams");
        // The window of the connection is used up by now; answers without a body need none.
        let head = Request::head("http://localhost/").body(()).unwrap();
        let (response, _) = requests.send_request(head, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        drop(held);
        let (response, _) = requests.send_request(get("/"), true).unwrap();
        let body = read(response.await.unwrap().into_body()).await.unwrap();
        assert_eq!(body, b"one\n");
    });
}

#[test]
fn an_http_2_answer_under_way_is_finished_when_the_switch_ends() {
    let server = Backend::start("one");
    let mut switch = Switch::start(&policy(&[server.address], ""));
    let address = switch.address("web");
    with_client(address, async |requests| {
        let mut requests = requests.ready().await.unwrap();
        let (response, _) = requests
            .send_request(get("/stream?n=10&every=100ms"), true)
            .unwrap();
        let response = response.await.unwrap();
        switch.signal(rustix::process::Signal::TERM);
        let body = read(response.into_body()).await.unwrap();
        assert_eq!(body, b"one\n".repeat(10));
    });
    assert_eq!(switch.wait_for_end(), 0);
}

#[test]
fn a_stream_that_is_reset_is_let_go_and_the_others_go_on() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    with_client(switch.address("web"), async |requests| {
        let mut requests = requests.ready().await.unwrap();
        let (slow, mut sender) = requests.send_request(get("/delay/30s"), true).unwrap();
        let (kept, _) = requests.send_request(get("/delay/300ms"), true).unwrap();
        sender.send_reset(h2::Reason::CANCEL);
        drop(slow);
        assert_eq!(
            read(kept.await.unwrap().into_body()).await.unwrap(),
            b"one\n"
        );
    });
    wait_until("nothing is under way", || {
        switch.status()["pools"][0]["backends"][0]["in_flight"] == 0
    });
}

#[test]
fn fields_that_have_no_place_in_http_2_reach_no_server() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    with_client(switch.address("web"), async |requests| {
        let mut requests = requests.ready().await.unwrap();
        for (name, value) in [
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("host", "other.test"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
        ] {
            let mut request = get("/echo");
            request.headers_mut().insert(name, value.parse().unwrap());
            let Ok((response, _)) = requests.send_request(request, true) else {
                continue;
            };
            let Ok(response) = response.await else {
                continue;
            };
            let status = response.status().as_u16();
            let body = String::from_utf8(read(response.into_body()).await.unwrap()).unwrap();
            let reached = status == 200 && body.contains(&format!("[\"{name}\",\"{value}\"]"));
            assert!(!reached, "{name}: {value}: {body}");
        }
    });
}

#[test]
fn every_request_on_a_connection_is_answered_over_reloads() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "");
    let switch = Switch::start(&text);
    with_client(switch.address("web"), async |requests| {
        let mut requests = requests.ready().await.unwrap();
        for n in 0..50 {
            let edits = format!("response_headers = {{ set = {{ X-Policy = \"{n}\" }} }}");
            switch.rewrite(&text.replace("[[route]]", &format!("[[route]]\n{edits}")));
            assert_eq!(switch.admin("POST", "/reload").0, 200);
            let (response, _) = requests.send_request(get("/"), true).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.headers()["x-policy"], n.to_string());
        }
    });
}
