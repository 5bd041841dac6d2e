//! A datapath with services and backends, on which programs are run by themselves.

use std::net::{IpAddr, SocketAddr};

use pointsman::control::direct::kernel::ring::{Ring, slot};
use pointsman::control::direct::kernel::{
    Backend, Capacity, Counters, Datapath, Hook, Hop, Key, Member, Protocol, State,
};

use crate::packet::Packet;

/// The kernel runs the program of tc as if frames came from the loopback interface: this is whom
/// they are for. XDP is told so.
pub const OWN: [u8; 6] = [0; 6];
/// Where clients' frames come from.
pub const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
/// The switch's, in what leaves.
pub const LEAVES: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Index of the interface that frames seem to come from.
pub const LOOPBACK: u32 = 1;
/// Of another one.
pub const ELSEWHERE: u32 = 3;

pub const PORT: u16 = 80;
/// Numbers of the backends.
pub const IDS: [u16; 3] = [1, 2, 3];

/// What becomes of a packet, in one word for both kinds of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Dropped,
    Sent,
}

/// The kinds of programs.
pub const HOOKS: [Hook; 2] = [Hook::Xdp, Hook::Tcx];
/// The families, by an address of the service.
pub const SERVICES: [&str; 2] = ["192.0.2.10", "2001:db8::10"];

pub struct Scene {
    pub datapath: Datapath,
    pub hook: Hook,
    pub service: SocketAddr,
    /// Of all three backends.
    ring: Ring,
}

impl Scene {
    /// A service over TCP and UDP with three neighbours.
    pub fn new(hook: Hook, service: &str) -> Self {
        Self::with(hook, service, Capacity::default())
    }

    pub fn with(hook: Hook, service: &str, capacity: Capacity) -> Self {
        let capacity = Capacity {
            rings: 8,
            connections: capacity.connections.min(4096),
            ..capacity
        };
        let mut scene = Self {
            datapath: Datapath::open(None, capacity).unwrap(),
            hook,
            service: SocketAddr::new(service.parse().unwrap(), PORT),
            ring: Ring::new(&members(&IDS)),
        };
        scene.datapath.accept_mac(scene.own()).unwrap();
        for id in IDS {
            scene.set(id, |_| {});
        }
        scene.set_members(&IDS);
        scene
    }

    /// Whom frames are for. All zeros are nobody's address but the loopback interface's.
    pub fn own(&self) -> [u8; 6] {
        match self.hook {
            Hook::Xdp => LEAVES,
            _ => OWN,
        }
    }

    pub fn key(&self, protocol: Protocol) -> Key {
        Key {
            address: self.service.ip(),
            port: self.service.port(),
            protocol,
        }
    }

    /// Both services have these backends.
    pub fn set_members(&mut self, ids: &[u16]) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let key = self.key(protocol);
            self.datapath.set_service(key, &members(ids)).unwrap();
        }
    }

    pub fn set(&mut self, id: u16, change: impl FnOnce(&mut Backend)) {
        let mut backend = Backend {
            address: self.address_of(id),
            hop: Hop::Neighbour {
                interface: LOOPBACK,
                source_mac: LEAVES,
                mac: mac(id),
            },
            state: State::Active,
            identity: u64::from(id),
        };
        change(&mut backend);
        self.datapath.set_backend(id, &backend).unwrap();
    }

    /// All backends are behind tunnels over the family of this address of the switch.
    pub fn dig(&mut self, source: IpAddr, mtu: u16) {
        for id in IDS {
            let address = far_address(source, id);
            self.set(id, |backend| {
                backend.address = address;
                backend.hop = Hop::Tunnel {
                    interface: LOOPBACK,
                    source_mac: LEAVES,
                    mac: ROUTER,
                    source,
                    mtu,
                };
            });
        }
    }

    fn address_of(&self, id: u16) -> IpAddr {
        far_address(self.service.ip(), id)
    }

    /// A client of the service's family, by a number.
    pub fn client(&self, number: u16) -> SocketAddr {
        let address = match self.service.ip() {
            IpAddr::V4(_) => IpAddr::from([198, 51, 100, 7]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]),
        };
        SocketAddr::new(address, 10_000 + number)
    }

    pub fn tcp(&self, client: SocketAddr, flags: u8) -> Packet {
        let packet = Packet::tcp(client, self.service, flags);
        packet.but(|packet| packet.to = self.own())
    }

    pub fn udp(&self, client: SocketAddr) -> Packet {
        let packet = Packet::udp(client, self.service, b"question");
        packet.but(|packet| packet.to = self.own())
    }

    /// An error from a router on the way, about a packet of the service to this client.
    pub fn error(&self, kind: u8, quoted: &Packet) -> Packet {
        let router = far_address(self.service.ip(), 99);
        let packet = Packet::icmp(router, self.service.ip(), kind, quoted);
        packet.but(|packet| packet.to = self.own())
    }

    /// What the service has sent to the client.
    pub fn answer(&self, client: SocketAddr, is_udp: bool) -> Packet {
        match is_udp {
            false => Packet::tcp(self.service, client, 16),
            true => Packet::udp(self.service, client, b"answer, which is long enough"),
        }
    }

    pub fn run(&mut self, packet: &Packet) -> (Verdict, Vec<u8>) {
        self.run_bytes(&packet.bytes())
    }

    pub fn run_bytes(&mut self, bytes: &[u8]) -> (Verdict, Vec<u8>) {
        let ran = self.datapath.run(self.hook, bytes, None, 1).unwrap();
        let verdict = match (self.hook, ran.verdict) {
            (Hook::Xdp, 2) | (Hook::Tcx, -1) => Verdict::Passed,
            (Hook::Xdp, 1) | (Hook::Tcx, 2) => Verdict::Dropped,
            (Hook::Xdp, 3 | 4) | (Hook::Tcx, 7) => Verdict::Sent,
            other => panic!("{other:?} is no verdict"),
        };
        (verdict, ran.frame)
    }

    /// Which backend gets the packet; it must be as it should be then.
    #[track_caller]
    pub fn chosen(&mut self, packet: &Packet) -> u16 {
        let (verdict, frame) = self.run(packet);
        assert_eq!(verdict, Verdict::Sent, "{packet:?}");
        let id = u16::from(frame[5]);
        let expected = packet.passed_on(mac(id), LEAVES).bytes();
        assert_eq!(frame, expected, "{packet:?}");
        id
    }

    /// A client whose new connections go to this backend.
    pub fn client_of(&self, id: u16) -> SocketAddr {
        self.clients_of(id)[0]
    }

    /// All such clients of the first two hundred, while nobody is missing from the ring.
    pub fn clients_of(&self, id: u16) -> Vec<SocketAddr> {
        let key = self.key(Protocol::Tcp);
        let first = |client| self.ring.backends(slot(client, key)).next();
        let clients = (0..200).map(|number| self.client(number));
        clients
            .filter(|client| first(*client) == Some(id))
            .collect()
    }

    pub fn counters(&self) -> Counters {
        self.datapath.counters().unwrap()
    }

    /// Of everything that was dropped for this reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        count(&self.counters().dropped, reason)
    }

    pub fn passed(&self, reason: &str) -> u64 {
        count(&self.counters().passed, reason)
    }
}

fn members(ids: &[u16]) -> Vec<Member> {
    let member = |id: &u16| Member {
        id: *id,
        name: format!("backend-{id}"),
        weight: 1,
    };
    ids.iter().map(member).collect()
}

pub fn mac(id: u16) -> [u8; 6] {
    [2, 0, 0, 0, 1, u8::try_from(id).unwrap()]
}

/// An address of a backend, in the family of another address.
pub fn far_address(family: IpAddr, id: u16) -> IpAddr {
    match family {
        IpAddr::V4(_) => IpAddr::from([10, 9, 0, u8::try_from(id).unwrap()]),
        IpAddr::V6(_) => IpAddr::from([0xfd09, 0, 0, 0, 0, 0, 0, id]),
    }
}

fn count(counts: &[(&str, u64)], reason: &str) -> u64 {
    let found = counts.iter().find(|(word, _)| *word == reason);
    found.unwrap_or_else(|| panic!("{reason} is no reason")).1
}

/// Both kinds of programs, with a service of each family.
pub fn everywhere(test: &str, mut check: impl FnMut(Scene)) {
    if !crate::applies(test) {
        return;
    }
    for hook in HOOKS {
        for service in SERVICES {
            check(Scene::new(hook, service));
        }
    }
}
