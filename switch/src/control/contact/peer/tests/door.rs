use std::time::Instant;

use super::super::initiates;
use super::*;

/// A connection from `own` that has been asked for.
fn knock(own: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// Whether the other side has closed it, within a moment.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let kind = stream.read(&mut [0]).map_err(|error| error.kind());
    matches!(kind, Ok(0) | Err(std::io::ErrorKind::ConnectionReset))
}

#[test]
fn of_two_switches_one_initiates_and_of_one_none() {
    let addresses = [
        "10.0.0.9",
        "10.0.0.10",
        "fd00::9",
        "fd00::10",
        "::ffff:10.0.0.11",
    ];
    let addresses = addresses.map(|text| text.parse::<IpAddr>().unwrap());
    for a in addresses {
        for b in addresses {
            assert_eq!(initiates(a, b), a != b && !initiates(b, a), "{a} {b}");
        }
    }
    assert!(initiates(addresses[0], addresses[1]));
    assert!(initiates(addresses[1], addresses[4]));
}

#[test]
fn strangers_are_closed_at_once_and_do_not_keep_a_peer_out() {
    let (mut door, address) = door();
    let stranger = IpAddr::from([127, 0, 0, 0x77]);
    let mut strangers: Vec<_> = (0..10).map(|_| knock(stranger, address)).collect();
    let peer = knock(LOW, address);
    let (_stream, from) = let_in(&mut door);
    assert_eq!(from, peer.local_addr().unwrap());
    assert!(strangers.iter_mut().all(is_closed));
    assert_eq!((door.strangers(), door.strangers()), (10, 0));
    door.set_peers(&[stranger]);
    let mut before = knock(LOW, address);
    assert!(door.accept(|_| 0).is_none());
    assert!(is_closed(&mut before));
}

#[test]
fn whoever_has_to_wait_for_us_is_not_let_in() {
    let mut door = Door::open(&[LOW], 0, &[HIGH]).unwrap();
    let socket = door.sockets().next().unwrap();
    let address = SockRef::from(&socket).local_addr().unwrap();
    let mut wrong = knock(HIGH, address.as_socket().unwrap());
    assert!(door.accept(|_| 0).is_none());
    assert!(is_closed(&mut wrong));
}

#[test]
fn a_peer_with_two_handshakes_pending_gets_no_third() {
    let (mut door, address) = door();
    let mut third = knock(LOW, address);
    assert!(door.accept(|ip| if ip == LOW { 2 } else { 0 }).is_none());
    assert!(is_closed(&mut third));
    let _second = knock(LOW, address);
    assert!(door.accept(|_| 1).is_some());
}

#[test]
fn one_call_looks_at_few_strangers_only() {
    let (mut door, address) = door();
    let stranger = IpAddr::from([127, 0, 0, 0x77]);
    let mut waiting: Vec<_> = (0..20).map(|_| knock(stranger, address)).collect();
    assert!(door.accept(|_| 0).is_none());
    let last = waiting.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    let error = last.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(door.accept(|_| 0).is_none());
    last.set_nonblocking(false).unwrap();
    assert!(is_closed(last));
}

#[test]
fn the_next_process_can_listen_too() {
    let (_door, address) = door();
    Door::open(&[address.ip()], address.port(), &[LOW]).unwrap();
}

/// In a process of its own, as descriptors are counted per process.
#[test]
fn without_descriptors_a_connection_is_turned_away_and_does_not_wake_the_loop_forever() {
    const ALONE: &str = "POINTSMAN_TEST_WITHOUT_DESCRIPTORS";
    if std::env::var_os(ALONE).is_none() {
        let name = std::thread::current().name().unwrap().to_owned();
        let program = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(program);
        command.args(["--exact", &name, "--nocapture"]);
        assert!(command.env(ALONE, "1").status().unwrap().success());
        return;
    }
    let (mut door, address) = door();
    let mut peers = [knock(LOW, address), knock(LOW, address)];
    let mut taken = vec![];
    let limit = rustix::process::Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    while let Ok(descriptor) = rustix::io::dup(&peers[0]) {
        taken.push(descriptor);
    }
    assert!(door.accept(|_| 0).is_none());
    taken.clear();
    assert!(peers.iter_mut().all(is_closed));
    let _next = knock(LOW, address);
    assert!(door.accept(|_| 0).is_some());
}

#[test]
fn an_address_that_is_not_ours_is_named_in_the_error() {
    let foreign = "192.0.2.77".parse().unwrap();
    let error = Door::open(&[foreign], 5405, &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("192.0.2.77:5405: "),
        "{error}"
    );
}

#[test]
fn a_door_at_ipv6_lets_in_a_session() {
    let own = IpAddr::from(std::net::Ipv6Addr::LOCALHOST);
    let Ok(mut door) = Door::open(&[own], 0, &[own]) else {
        // This system has no IPv6.
        return;
    };
    let socket = door.sockets().next().unwrap();
    let address = SockRef::from(&socket).local_addr().unwrap();
    let address = address.as_socket().unwrap();
    let low = Session::connect(None, address, None, hello(1)).unwrap();
    let (stream, peer) = let_in(&mut door);
    let high = Session::accept(stream, peer, None, hello(2)).unwrap();
    let (mut low, mut high) = (End::new(low), End::new(high));
    let start = Instant::now();
    drive(&mut [&mut low, &mut high], |ends| {
        ends.iter().all(|end| end.is_open())
    });
    assert!(start.elapsed() < Duration::from_secs(2));
}
