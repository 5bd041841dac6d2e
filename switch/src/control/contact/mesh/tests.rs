use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

/// Tests share this host: each has addresses of its own.
fn mesh(own: u8, peers: &[u8]) -> Mesh {
    let ip = |last: &u8| IpAddr::from([127, 77, 0, *last]);
    let plan = MeshPlan {
        peers: peers.iter().map(ip).collect(),
        sources: vec![ip(&own)],
        secret: None,
        port: 9112,
        heartbeat: Duration::from_millis(5),
        misses: 3,
    };
    let state = State {
        digest: String::new(),
        sequence: 0,
        pools_up: 0,
        groups: vec![],
    };
    Mesh::new(plan, state, Instant::now()).expect("there are random bits")
}

/// As the thread does: sleeps until something is there or due, at most until `until`.
fn turn(mesh: &mut Mesh, until: Instant) {
    let time = mesh.deadline().min(until);
    let time = time.saturating_duration_since(Instant::now());
    let mut watched: Vec<_> = mesh
        .sockets()
        .into_iter()
        .map(|(fd, writes)| {
            let out = if writes {
                PollFlags::OUT
            } else {
                PollFlags::empty()
            };
            PollFd::from_borrowed_fd(fd, PollFlags::IN | out)
        })
        .collect();
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(time.subsec_nanos()),
    };
    poll(&mut watched, Some(&time)).expect("they are open");
    let now = Instant::now();
    mesh.read(now);
    mesh.tick(now);
}

fn is_alive(mesh: &Mesh) -> bool {
    mesh.links
        .iter()
        .any(|link| link.is_alive && link.heard.is_some())
}

#[test]
fn a_peer_that_has_left_is_waited_for_no_more() {
    let (mut stays, mut leaves) = (mesh(1, &[2]), mesh(2, &[1]));
    let until = Instant::now() + Duration::from_secs(10);
    while !is_alive(&stays) || !is_alive(&leaves) {
        assert!(Instant::now() < until, "they meet");
        let soon = Instant::now() + Duration::from_millis(1);
        turn(&mut stays, soon);
        turn(&mut leaves, soon);
    }
    leaves.leave(Duration::ZERO);
    drop(leaves);
    while is_alive(&stays) {
        assert!(Instant::now() < until, "it hears of it");
        turn(&mut stays, until);
    }
    let (end, mut turns) = (Instant::now() + Duration::from_millis(300), 0);
    while Instant::now() < end {
        turn(&mut stays, end);
        turns += 1;
    }
    // One for each heartbeat of its own, and a few more.
    assert!(turns < 200, "it does not sleep: {turns} turns");
}
