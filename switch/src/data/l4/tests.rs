use std::cell::Cell;
use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::leg::Leg;
use super::proxy::{Early, End, Limits, Meter, Outcome, forward};
use crate::error::Side;

/// Nothing in these tests may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

const BULK: usize = 24 * 1024 * 1024;

/// A connection in memory: the way that bytes take through TLS.
impl Leg for DuplexStream {}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let addr = listener.local_addr().expect("bound");
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (near.expect("a listener"), far.expect("a client").0)
}

fn unix_pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair")
}

fn start<C: Leg + Send + 'static, U: Leg + Send + 'static>(
    client: C,
    upstream: U,
    idle: Duration,
) -> JoinHandle<Outcome> {
    tokio::spawn(
        async move { forward(client, upstream, Early::default(), &Limits { idle }, &()).await },
    )
}

/// Client, the task between, backend.
async fn over_tcp() -> (TcpStream, JoinHandle<Outcome>, TcpStream) {
    let (client, near) = tcp_pair().await;
    let (far, backend) = tcp_pair().await;
    (client, start(near, far, PATIENCE), backend)
}

async fn finish(task: JoinHandle<Outcome>) -> Outcome {
    timeout(PATIENCE, task)
        .await
        .expect("it ends")
        .expect("no panic")
}

/// Bytes without a short period, so that a lost or doubled piece shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

async fn bulk_both_ways<S>(client: S, backend: S)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let sent = pattern(BULK);
    let run = |side: S| {
        let sent = sent.clone();
        async move {
            let (mut reader, mut writer) = tokio::io::split(side);
            let expected = sent.clone();
            let write = tokio::spawn(async move {
                writer.write_all(&sent).await.expect("room in time");
                writer.shutdown().await.expect("an open connection");
            });
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.expect("no reset");
            write.await.expect("no panic");
            assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
        }
    };
    timeout(PATIENCE, async { tokio::join!(run(client), run(backend)) })
        .await
        .expect("in time");
}

#[tokio::test]
async fn a_request_and_its_response_pass() {
    let (mut client, task, mut backend) = over_tcp().await;
    let mut got = [0; 4];
    for _ in 0..3 {
        client.write_all(b"ping").await.expect("open");
        backend.read_exact(&mut got).await.expect("open");
        assert_eq!(&got, b"ping");
        backend.write_all(b"pong").await.expect("open");
        client.read_exact(&mut got).await.expect("open");
        assert_eq!(&got, b"pong");
    }
    drop((client, backend));
    let outcome = finish(task).await;
    assert!(matches!(outcome.end, End::Closed), "{outcome:?}");
    assert_eq!((outcome.to_upstream, outcome.to_client), (12, 12));
}

#[tokio::test]
async fn bulk_passes_unchanged_in_both_directions_at_once_over_tcp() {
    let (client, task, backend) = over_tcp().await;
    bulk_both_ways(client, backend).await;
    let outcome = finish(task).await;
    assert!(matches!(outcome.end, End::Closed), "{outcome:?}");
    assert_eq!(
        (outcome.to_upstream, outcome.to_client),
        (BULK as u64, BULK as u64)
    );
}

#[tokio::test]
async fn bulk_passes_unchanged_over_unix_sockets() {
    let ((client, near), (far, backend)) = (unix_pair(), unix_pair());
    let task = start(near, far, PATIENCE);
    bulk_both_ways(client, backend).await;
    assert!(matches!(finish(task).await.end, End::Closed));
}

#[tokio::test]
async fn bulk_passes_unchanged_through_memory() {
    let ((client, near), (far, backend)) = (duplex(10_000), duplex(30_000));
    let task = start(near, far, PATIENCE);
    bulk_both_ways(client, backend).await;
    assert!(matches!(finish(task).await.end, End::Closed));
}

#[tokio::test]
async fn tcp_is_forwarded_to_a_unix_socket() {
    let (mut client, near) = tcp_pair().await;
    let (far, mut backend) = unix_pair();
    let task = start(near, far, PATIENCE);
    let sent = pattern(BULK);
    let expected = sent.clone();
    tokio::spawn(async move {
        client.write_all(&sent).await.expect("room in time");
        let mut rest = Vec::new();
        client.shutdown().await.expect("open");
        client.read_to_end(&mut rest).await.expect("an orderly end");
    });
    let mut got = Vec::new();
    backend.read_to_end(&mut got).await.expect("no reset");
    assert!(got == expected);
    drop(backend);
    assert!(matches!(finish(task).await.end, End::Closed));
}

#[tokio::test]
async fn a_slow_reader_gets_everything_and_holds_the_writer_back() {
    let (mut client, task, mut backend) = over_tcp().await;
    SockRef::from(&client)
        .set_recv_buffer_size(256 * 1024)
        .expect("an option");
    let sent = pattern(BULK);
    let expected = sent.clone();
    let written = std::rc::Rc::new(Cell::new(0));
    let write = async {
        for chunk in sent.chunks(64 * 1024) {
            backend.write_all(chunk).await.expect("room in time");
            written.set(written.get() + chunk.len());
        }
        backend.shutdown().await.expect("open");
    };
    let read = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(
            written.get() < BULK,
            "the whole stream was taken in before anybody read"
        );
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.expect("no reset");
        assert!(got == expected);
    };
    timeout(PATIENCE, async { tokio::join!(write, read) })
        .await
        .expect("in time");
    drop((client, backend));
    finish(task).await;
}

#[tokio::test]
async fn a_half_closed_connection_goes_on_in_the_other_direction() {
    let (mut client, task, mut backend) = over_tcp().await;
    client.write_all(b"question").await.expect("open");
    client.shutdown().await.expect("open");
    let mut question = String::new();
    backend
        .read_to_string(&mut question)
        .await
        .expect("the end is handed on");
    assert_eq!(question, "question");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!task.is_finished());
    backend
        .write_all(b"answer")
        .await
        .expect("the other direction is open");
    drop(backend);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("no reset");
    assert_eq!(answer, "answer");
    assert!(matches!(finish(task).await.end, End::Closed));
}

#[tokio::test]
async fn a_reset_by_the_client_reaches_the_backend_as_a_reset() {
    let (client, task, mut backend) = over_tcp().await;
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(client);
    let error = timeout(PATIENCE, backend.read_u8())
        .await
        .expect("at once")
        .expect_err("reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let outcome = finish(task).await;
    assert!(
        matches!(
            outcome.end,
            End::Broken {
                side: Side::Client,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_reset_by_the_backend_reaches_the_client_as_a_reset() {
    let (mut client, task, backend) = over_tcp().await;
    SockRef::from(&backend)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(backend);
    let error = timeout(PATIENCE, client.read_u8())
        .await
        .expect("at once")
        .expect_err("reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let outcome = finish(task).await;
    assert!(
        matches!(
            outcome.end,
            End::Broken {
                side: Side::Endpoint,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_backend_that_answers_early_and_closes_is_heard_though_the_client_still_sends() {
    let (client, task, mut backend) = over_tcp().await;
    let (mut reader, mut writer) = client.into_split();
    let sending = tokio::spawn(async move {
        // Until the switch ends the connection.
        while writer.write_all(&[7; 16 * 1024]).await.is_ok() {}
    });
    backend
        .read_exact(&mut [0; 1024])
        .await
        .expect("the first bytes");
    backend.write_all(b"413 too large").await.expect("open");
    backend.shutdown().await.expect("open");
    // Unread bytes make this a reset, behind the end of the stream.
    drop(backend);
    let mut answer = String::new();
    timeout(PATIENCE, reader.read_to_string(&mut answer))
        .await
        .expect("soon")
        .expect("no reset");
    assert_eq!(answer, "413 too large");
    let outcome = finish(task).await;
    assert!(
        matches!(
            outcome.end,
            End::Broken {
                side: Side::Endpoint,
                ..
            }
        ),
        "{outcome:?}"
    );
    sending.await.expect("no panic");
}

#[tokio::test]
async fn silence_ends_a_connection_after_the_limit_and_not_before() {
    let (client, near) = tcp_pair().await;
    let (far, _backend) = tcp_pair().await;
    let began = std::time::Instant::now();
    let idle = Duration::from_millis(200);
    let outcome = finish(start(near, far, idle)).await;
    assert!(matches!(outcome.end, End::Silent), "{outcome:?}");
    assert!(began.elapsed() >= idle);
    assert!(began.elapsed() < idle * 4);
    drop(client);
}

#[tokio::test]
async fn bytes_in_one_direction_keep_a_connection_alive() {
    let (mut client, near) = tcp_pair().await;
    let (far, mut backend) = tcp_pair().await;
    let idle = Duration::from_millis(200);
    let task = start(near, far, idle);
    for _ in 0..10 {
        tokio::time::sleep(idle / 3).await;
        assert!(!task.is_finished());
        client.write_all(b".").await.expect("open");
        backend.read_u8().await.expect("open");
    }
    let outcome = finish(task).await;
    assert!(matches!(outcome.end, End::Silent), "{outcome:?}");
    assert_eq!(outcome.to_upstream, 10);
}

#[tokio::test]
async fn bytes_that_come_together_with_a_look_at_the_clock_do_not_stop_the_looks() {
    let (client, near) = tcp_pair().await;
    let (far, _backend) = tcp_pair().await;
    let idle = Duration::from_millis(200);
    let task = start(near, far, idle);
    tokio::time::sleep(idle / 8).await;
    client.try_write(b".").expect("room");
    // The one thread is busy until both have happened.
    std::thread::sleep(idle / 2);
    let outcome = finish(task).await;
    assert!(matches!(outcome.end, End::Silent), "{outcome:?}");
}

#[tokio::test]
async fn early_bytes_go_first() {
    let (mut client, near) = tcp_pair().await;
    let (far, mut backend) = tcp_pair().await;
    let early = Early {
        to_upstream: b"head ".to_vec(),
        to_client: b"hello ".to_vec(),
    };
    let task =
        tokio::spawn(
            async move { forward(near, far, early, &Limits { idle: PATIENCE }, &()).await },
        );
    client.write_all(b"body").await.expect("open");
    client.shutdown().await.expect("open");
    let mut got = String::new();
    backend.read_to_string(&mut got).await.expect("open");
    assert_eq!(got, "head body");
    backend.write_all(b"client").await.expect("open");
    drop(backend);
    let mut got = String::new();
    client.read_to_string(&mut got).await.expect("open");
    assert_eq!(got, "hello client");
    assert_eq!(finish(task).await.to_upstream, 9);
}

#[tokio::test]
async fn the_meter_sees_every_byte_once() {
    #[derive(Default)]
    struct Count(Cell<u64>, Cell<u64>);
    impl Meter for Count {
        fn to_upstream(&self, bytes: u64) {
            self.0.set(self.0.get() + bytes);
        }
        fn to_client(&self, bytes: u64) {
            self.1.set(self.1.get() + bytes);
        }
    }
    let (client, near) = tcp_pair().await;
    let (far, backend) = tcp_pair().await;
    let meter = Count::default();
    let limits = Limits { idle: PATIENCE };
    let forwarding = forward(near, far, Early::default(), &limits, &meter);
    let (outcome, ()) = tokio::join!(forwarding, bulk_both_ways(client, backend));
    assert_eq!(
        (meter.0.get(), meter.1.get()),
        (outcome.to_upstream, outcome.to_client)
    );
    assert_eq!(meter.0.get(), BULK as u64);
}
