//! Whether this host keeps still about addresses that are the switch's on the network. A server that
//! answers for one takes it away from the switch.

use std::net::IpAddr;

use super::network::LOOPBACK;

/// What was seen of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Index and name of every interface, with its own settings.
    pub(super) links: Vec<(u32, String, Arp)>,
    /// Every address, with its interface.
    pub(super) addresses: Vec<(u32, IpAddr)>,
    /// The settings of all interfaces together.
    pub(super) all: Arp,
}

/// `arp_ignore` and `arp_announce`: the larger one of an interface's own and all interfaces' counts
/// (Documentation/networking/ip-sysctl.rst).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arp {
    /// From 1 on, only addresses of the interface that is asked are answered for.
    pub(super) ignore: u32,
    /// With 2, no question names an address of another interface as its sender.
    pub(super) announce: u32,
}

impl Arp {
    /// What makes a host keep still.
    pub(super) const STILL: Self = Self {
        ignore: 1,
        announce: 2,
    };
}

impl Seen {
    /// Whether the loopback interface has it.
    pub(super) fn holds(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&(LOOPBACK, ip))
    }

    /// Another interface that has it.
    pub(super) fn elsewhere(&self, ip: IpAddr) -> Option<&str> {
        let mut addresses = self.addresses.iter();
        let found = addresses.find(|(index, own)| *index != LOOPBACK && *own == ip)?;
        let mut links = self.links.iter();
        let link = links.find(|(index, ..)| *index == found.0);
        Some(link.map_or("another interface", |(_, name, _)| name))
    }

    /// Why this host is not fit to serve these addresses; nothing if it is.
    pub(super) fn troubles(&self, wanted: &[IpAddr]) -> Vec<String> {
        let mut troubles = vec![];
        for ip in wanted {
            if let Some(link) = self.elsewhere(*ip) {
                troubles.push(format!(
                    "{ip} stands on {link}, where this host answers for it: take it off there \
                     (ip address del {ip} dev {link})"
                ));
            } else if !self.holds(*ip) {
                troubles.push(format!("{ip} is not on lo"));
            }
        }
        if wanted.iter().any(IpAddr::is_ipv4) {
            let links = self.links.iter().filter(|(index, ..)| *index != LOOPBACK);
            troubles.extend(links.filter_map(|(_, name, own)| self.speaks(name, *own)));
        }
        troubles
    }

    fn speaks(&self, name: &str, own: Arp) -> Option<String> {
        let ignore = own.ignore.max(self.all.ignore);
        // 3 answers for some addresses all the same; 4 to 7 are reserved.
        if !matches!(ignore, 1 | 2 | 8) {
            return Some(format!(
                "{name} answers ARP for addresses of lo: net.ipv4.conf.{name}.arp_ignore is {ignore}, \
                 set it to {}",
                Arp::STILL.ignore
            ));
        }
        let announce = own.announce.max(self.all.announce);
        (announce < Arp::STILL.announce).then(|| {
            format!(
                "{name} may name addresses of lo in its ARP questions: \
                 net.ipv4.conf.{name}.arp_announce is {announce}, set it to {}",
                Arp::STILL.announce
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));

    fn still() -> Seen {
        Seen {
            links: vec![
                (1, "lo".to_owned(), Arp::default()),
                (2, "eth0".to_owned(), Arp::default()),
            ],
            addresses: vec![(2, [10, 0, 0, 1].into()), (1, VIP)],
            all: Arp::STILL,
        }
    }

    #[test]
    fn a_host_that_keeps_still_is_fit() {
        assert_eq!(still().troubles(&[VIP]), Vec::<String>::new());
        let mut own = still();
        own.all = Arp::default();
        own.links[1].2 = Arp::STILL;
        assert_eq!(own.troubles(&[VIP]), Vec::<String>::new());
    }

    #[test]
    fn a_host_that_would_answer_is_not() {
        type Spoil = fn(&mut Seen);
        let spoils: [(Spoil, &str); 6] = [
            (
                |it| it.addresses.push((2, VIP)),
                "192.0.2.10 stands on eth0",
            ),
            (|it| it.addresses.truncate(1), "192.0.2.10 is not on lo"),
            (|it| it.all.ignore = 0, "eth0 answers ARP"),
            (|it| it.links[1].2.ignore = 5, "arp_ignore is 5"),
            (|it| it.all.announce = 1, "eth0 may name"),
            (
                |it| {
                    it.links.push((
                        3,
                        "eth1".into(),
                        Arp {
                            ignore: 4,
                            announce: 0,
                        },
                    ))
                },
                "eth1 answers",
            ),
        ];
        for (spoil, expected) in spoils {
            let mut seen = still();
            spoil(&mut seen);
            let told = seen.troubles(&[VIP]).join("; ");
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn addresses_of_ipv6_need_no_settings() {
        let ip: IpAddr = "2001:db8::10".parse().unwrap();
        let mut seen = still();
        seen.all = Arp::default();
        seen.addresses.push((1, ip));
        assert_eq!(seen.troubles(&[ip]), Vec::<String>::new());
    }
}
