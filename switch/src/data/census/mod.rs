//! How many clients are connected to certain addresses of this host. The kernel knows: it is asked
//! when somebody wants to know, and connections cost nothing for it. It also knows those of the
//! process before this one, and those that the program has closed and whose last bytes are not
//! acknowledged yet.

mod diag;
mod proc;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use pointsman_config::policy::BindAddr;

/// The ports that this process has listened on: a connection stays when its listener goes.
#[derive(Debug, Default)]
pub struct Census {
    ports: Mutex<BTreeSet<u16>>,
}

impl Census {
    /// Notes where is listened now.
    pub fn listens(&self, addresses: impl IntoIterator<Item = BindAddr>) {
        let ports = addresses.into_iter().filter_map(|address| match address {
            BindAddr::Any(port) => Some(port),
            BindAddr::Socket(addr) => Some(addr.port()),
            BindAddr::Unix(_) => None,
        });
        self.lock().extend(ports);
    }

    /// Connections to these addresses at the noted ports. With 100 000 of them it takes some tens
    /// of milliseconds: ask a few times a second at most, and not where time is critical.
    pub fn connections_at(&self, addresses: &[IpAddr]) -> usize {
        let addresses: BTreeSet<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
        if addresses.is_empty() {
            return 0;
        }
        let ports = self.lock().clone();
        let counted = diag::count(&addresses, &ports).or_else(|error| {
            // A kernel without INET_DIAG.
            tracing::debug!(%error, "no socket diagnosis");
            proc::count(&addresses, &ports)
        });
        counted.unwrap_or_else(|error| {
            tracing::warn!(%error, "the kernel does not tell what is connected");
            0
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's state (include/net/tcp_states.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State(u8);

impl State {
    const ESTABLISHED: Self = Self(1);
    const FIN_WAIT1: Self = Self(4);
    const FIN_WAIT2: Self = Self(5);
    const CLOSE_WAIT: Self = Self(8);
    const LAST_ACK: Self = Self(9);
    const CLOSING: Self = Self(11);

    /// Those in which a segment of the client may still be needed.
    const OPEN: [Self; 6] = [
        Self::ESTABLISHED,
        Self::FIN_WAIT1,
        Self::FIN_WAIT2,
        Self::CLOSE_WAIT,
        Self::LAST_ACK,
        Self::CLOSING,
    ];

    /// Whether a connection in this state counts; without an inode no program has it. After
    /// FIN_WAIT1 the client has everything: then it matters to the program alone.
    fn counts(self, inode: u64) -> bool {
        Self::OPEN.contains(&self) && (self != Self::FIN_WAIT2 || inode != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_count_by_the_address_that_the_client_chose() {
        let census = Census::default();
        let all = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let all = all.expect("any address");
        let port = all.local_addr().expect("bound").port();
        let connect = |to: &str| {
            let client = TcpStream::connect((to, port)).expect("it listens");
            (client, all.accept().expect("it came").0)
        };
        let mut pairs = vec![
            connect("127.0.0.1"),
            connect("127.0.0.2"),
            connect("127.0.0.2"),
        ];
        let count = |texts: &[&str]| {
            let addresses: Vec<_> = texts.iter().map(|text| ip(text)).collect();
            census.connections_at(&addresses)
        };
        assert_eq!(count(&["127.0.0.2"]), 0, "the port is not known");
        census.listens([BindAddr::Any(port)]);
        assert_eq!(count(&["127.0.0.1"]), 1);
        assert_eq!(count(&["127.0.0.2", "::ffff:127.0.0.2", "192.0.2.1"]), 2);
        assert_eq!(
            count(&["127.0.0.1", "192.0.2.1", "2001:db8::1", "127.0.0.2"]),
            3
        );
        assert_eq!(count(&["127.0.0.3", "::"]), 0);
        assert_eq!(count(&[]), 0);
        if let Ok(client) = TcpStream::connect(("::1", port)) {
            let _pair = (client, all.accept().expect("it came"));
            assert_eq!(count(&["::1"]), 1);
            assert_eq!(count(&["127.0.0.1", "::1", "::2"]), 2);
        }
        let (mut client, server) = pairs.remove(0);
        drop(server);
        assert_eq!(client.read(&mut [0]).expect("the end"), 0);
        // Its kernel may take its time to say that it knows.
        let until = Instant::now() + Duration::from_secs(15);
        while count(&["127.0.0.1"]) > 0 {
            assert!(Instant::now() < until, "it still counts");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn both_ways_to_ask_give_the_same() {
        let listener = TcpListener::bind("127.0.0.4:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(addr)).collect();
        let (addresses, ports) = (BTreeSet::from([addr.ip()]), BTreeSet::from([addr.port()]));
        // Those that wait to be accepted count, too.
        assert_eq!(proc::count(&addresses, &ports).expect("a file"), 3);
        assert_eq!(diag::count(&addresses, &ports).expect("an answer"), 3);
    }
}
