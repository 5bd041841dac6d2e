use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::sleep;
use std::time::Duration;

use super::*;

fn loopback() -> BindAddr {
    BindAddr::Socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

fn address(socket: &Socket) -> SocketAddr {
    local_address(socket).expect("an internet socket")
}

#[test]
fn every_worker_has_a_socket_and_all_share_the_port_that_the_first_got() {
    let sockets = bind(&loopback(), 4, &[]).expect("loopback");
    assert_eq!(sockets.len(), 4);
    let first = address(&sockets[0]);
    assert_ne!(first.port(), 0);
    assert!(sockets.iter().all(|socket| address(socket) == first));
}

#[test]
fn listening_sockets_do_not_block_and_are_closed_on_exec() {
    for socket in bind(&loopback(), 2, &[]).expect("loopback") {
        assert!(socket.nonblocking().expect("a flag"));
        let flags = rustix::io::fcntl_getfd(&socket).expect("flags");
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn accepted_connections_inherit_nodelay() {
    let sockets = bind(&loopback(), 1, &[]).expect("loopback");
    let _client = TcpStream::connect(address(&sockets[0])).expect("a listener");
    let accepted = drain_queue(&sockets[0]).expect("a queue");
    assert!(accepted[0].tcp_nodelay().expect("an option"));
}

#[test]
fn a_bare_port_takes_ipv4_and_where_there_is_one_ipv6() {
    let sockets = bind(&BindAddr::Any(0), 1, &[]).expect("any address");
    let addr = address(&sockets[0]);
    TcpStream::connect((Ipv4Addr::LOCALHOST, addr.port())).expect("IPv4");
    if addr.is_ipv6() {
        let over_v6 = TcpStream::connect((Ipv6Addr::LOCALHOST, addr.port()));
        // A kernel may have IPv6 and yet no ::1.
        assert!(over_v6.is_ok_and(|_| true) || TcpListenerV6::is_missing());
    }
}

struct TcpListenerV6;

impl TcpListenerV6 {
    fn is_missing() -> bool {
        std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err()
    }
}

#[test]
fn an_address_in_use_is_reported_with_the_port_to_look_for() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let addr = taken.local_addr().expect("bound");
    let error = bind(&BindAddr::Socket(addr), 2, &[]).expect_err("taken");
    let text = error.to_string();
    assert!(text.contains("another process listens there"), "{text}");
    assert!(text.contains(&addr.port().to_string()), "{text}");
}

#[test]
fn a_refused_low_port_names_the_capability() {
    let source = io::Error::from(io::ErrorKind::PermissionDenied);
    let text = BindError {
        addr: BindAddr::Any(80),
        source,
    }
    .to_string();
    assert!(text.contains("CAP_NET_BIND_SERVICE"), "{text}");
}

#[test]
fn a_foreign_address_says_so() {
    let foreign = BindAddr::Socket(SocketAddr::from(([192, 0, 2, 7], 0)));
    let error = bind(&foreign, 1, &[]).expect_err("a documentation address");
    assert!(
        error.to_string().contains("does not have that address"),
        "{error}"
    );
}

#[test]
fn a_contact_address_that_this_host_lacks_can_be_listened_on() {
    for text in ["192.0.2.7:0", "[2001:db8::7]:0"] {
        let addr: SocketAddr = text.parse().expect("a documentation address");
        if addr.is_ipv6() && TcpListenerV6::is_missing() {
            continue;
        }
        let contacts = [IpAddr::from([192, 0, 2, 1]), addr.ip()];
        let sockets = bind(&BindAddr::Socket(addr), 2, &contacts).expect("a contact address");
        let actual = address(&sockets[1]);
        assert_eq!((actual.ip(), sockets.len()), (addr.ip(), 2));
        let wanted = BindAddr::Socket(actual);
        let three = complete(&wanted, sockets, 3, &contacts).expect("descriptors");
        assert!(three.iter().all(|socket| address(socket) == actual));
        bind(&wanted, 1, &contacts[..1]).expect_err("no contact address");
    }
}

#[test]
fn draining_the_queue_saves_the_connections_that_wait() {
    let sockets = bind(&loopback(), 1, &[]).expect("loopback");
    let addr = address(&sockets[0]);
    let mut clients: Vec<_> = (0..5)
        .map(|_| TcpStream::connect(addr).expect("room"))
        .collect();
    sleep(Duration::from_millis(20));
    let saved = drain_queue(&sockets[0]).expect("a queue");
    drop(sockets);
    assert_eq!(saved.len(), 5);
    for connection in saved {
        connection.set_nonblocking(false).expect("a flag");
        (&connection).write_all(b"here").expect("a client");
    }
    for client in &mut clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("no reset");
        assert_eq!(answer, "here");
    }
}

#[test]
fn an_empty_queue_is_drained_at_once() {
    let sockets = bind(&loopback(), 1, &[]).expect("loopback");
    assert!(drain_queue(&sockets[0]).expect("a queue").is_empty());
}

#[test]
fn a_unix_socket_is_shared_by_the_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    let sockets = bind(&BindAddr::Unix(path.clone()), 3, &[]).expect("a folder of our own");
    assert_eq!(sockets.len(), 3);
    let _client = UnixStream::connect(&path).expect("a listener");
    assert_eq!(drain_queue(&sockets[2]).expect("the shared queue").len(), 1);
}

#[test]
fn a_socket_file_that_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    drop(UnixListener::bind(&path).expect("a first one"));
    assert!(path.exists());
    bind(&BindAddr::Unix(path.clone()), 1, &[]).expect("the stale file goes");
    UnixStream::connect(&path).expect_err("the sockets are dropped by now");
}

#[test]
fn a_socket_file_in_use_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    let _other = UnixListener::bind(&path).expect("a first one");
    let error = bind(&BindAddr::Unix(path.clone()), 1, &[]).expect_err("in use");
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    UnixStream::connect(&path).expect("the other one still listens");
}

#[test]
fn a_plain_file_is_never_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "mine").expect("a folder of our own");
    let error = bind(&BindAddr::Unix(path.clone()), 1, &[]).expect_err("not a socket");
    assert!(error.to_string().contains("is not a socket"), "{error}");
    assert_eq!(std::fs::read(&path).expect("still there"), b"mine");
}
