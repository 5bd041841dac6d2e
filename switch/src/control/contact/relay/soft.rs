//! The old holder's side: an address leaves the network but stays this host's, so that sockets that
//! use it go on. Segments for them come from the new holder's [`Relay`](super::Relay); what they
//! send goes to the clients directly, from the same address as ever.
//!
//! Meanwhile the address stands on the loopback interface. Nobody may learn of it there:
//!
//! - `arp_ignore` = 1: no answer to who asks for an address that is not on the interface.
//! - `arp_announce` = 2: no question that names it as the asker's, which would draw the neighbours
//!   back here. (Of IPv6, neither is needed: a host answers and asks for an interface's own
//!   addresses alone.)
//!
//! An address is removed from one interface only when its local route through the other one is there:
//! Linux adds that of an IPv6 address later, from a work queue (four milliseconds were seen), and meanwhile
//! packets would meet a host that does not have the address.
//!
//! To remove an address takes others along, or the route to the neighbours:
//!
//! - `promote_secondaries` = 1: further addresses of the same network stay.
//! - A route to the network stands in for the one that goes with the network's last address.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

/// The index of the loopback interface, the same in every network namespace.
pub const LOOPBACK: u32 = 1;
/// Metric of the route that stands in: above that of every other one.
pub const STAND_IN_METRIC: u32 = u32::MAX;

/// What is set while any address is released, and at which least value it is left as it is.
const SYSCTLS: &[(&str, u32)] = &[
    ("arp_ignore", 1),
    ("arp_announce", 2),
    ("promote_secondaries", 1),
];

/// What a soft release does to its host.
pub trait SoftHost {
    /// Puts an address on an interface. On [`LOOPBACK`] it must not be chosen as a source by itself:
    /// scope `host` of IPv4, a preferred lifetime of 0 of IPv6. No duplicate address detection.
    ///
    /// # Errors
    /// Those of the kernel; that it is there is none.
    fn add_address(&mut self, index: u32, address: IpNet) -> io::Result<()>;

    /// Takes an address from an interface; whether it was there.
    ///
    /// # Errors
    /// Those of the kernel.
    fn remove_address(&mut self, index: u32, address: IpNet) -> io::Result<bool>;

    /// Whether packets to the address are this host's by a route of type `local` through this very
    /// interface. That the address is on it does not yet mean so.
    ///
    /// # Errors
    /// Those of the kernel.
    fn is_local(&mut self, index: u32, address: IpAddr) -> io::Result<bool>;

    /// Adds a route without a gateway through an interface, of scope `link` and [`STAND_IN_METRIC`].
    ///
    /// # Errors
    /// Those of the kernel; that it is there is none.
    fn add_route(&mut self, index: u32, network: IpNet) -> io::Result<()>;

    /// Removes that route.
    ///
    /// # Errors
    /// Those of the kernel; that it is not there is none.
    fn remove_route(&mut self, index: u32, network: IpNet) -> io::Result<()>;

    /// Reads a setting of `/proc/sys/`, such as `net/ipv4/conf/eth0/arp_ignore`, without the line's
    /// end.
    ///
    /// # Errors
    /// Those of the file.
    fn sysctl(&mut self, path: &str) -> io::Result<String>;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the file.
    fn set_sysctl(&mut self, path: &str, value: &str) -> io::Result<()>;
}

/// The addresses of one interface that are released softly.
#[derive(Debug)]
pub struct SoftRelease {
    interface: String,
    index: u32,
    /// Released, or prepared to be.
    known: Vec<IpNet>,
    /// Settings as they were before, by path.
    before: Vec<(String, String)>,
}

impl SoftRelease {
    /// None yet.
    pub fn new(interface: &str, index: u32) -> Self {
        Self {
            interface: interface.to_owned(),
            index,
            known: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Gets ready to release the address: it is on the loopback interface, too, and this host is
    /// quiet about it. To be called before another host takes it over: an ARP question of this one
    /// in between would draw the neighbours back. It harms no holder.
    /// [`take_back`](Self::take_back) and [`end`](Self::end) undo it.
    ///
    /// # Errors
    /// Those of the host; everything is as before then.
    pub fn prepare(&mut self, host: &mut impl SoftHost, address: IpNet) -> io::Result<()> {
        if self.known.contains(&address) {
            return Ok(());
        }
        self.known.push(address);
        let ready = self.make_ready(host, address);
        if ready.is_err() {
            let _ = self.end(host, address);
        }
        ready
    }

    /// Takes the address, written with the prefix length that it has there, from the interface;
    /// its connections go on. At no moment is the address not this host's.
    ///
    /// # Errors
    /// `WouldBlock`: the kernel is not ready, which takes it some milliseconds after
    /// [`prepare`](Self::prepare); to be called again soon. Others are the host's. With each, the
    /// address is on its interface still.
    pub fn begin(&mut self, host: &mut impl SoftHost, address: IpNet) -> io::Result<()> {
        self.prepare(host, address)?;
        local_first(host, LOOPBACK, address)?;
        host.remove_address(self.index, address)?;
        // With an interface's last IPv4 address, Linux takes all its routes. That this one could be
        // added before and cannot now means that the interface is down.
        let _ = self.stand_in(host, address);
        Ok(())
    }

    /// The connections are over, or their time is: the address is this host's no more.
    ///
    /// # Errors
    /// The first one of the host's; everything else is undone nevertheless.
    pub fn end(&mut self, host: &mut impl SoftHost, address: IpNet) -> io::Result<()> {
        self.known.retain(|known| *known != address);
        let removed = host.remove_address(LOOPBACK, alone(address)).map(|_| ());
        let tidied = self.tidy(host, address);
        removed.and(tidied)
    }

    /// This host holds the address again: it returns to the interface before it leaves the loopback
    /// interface. To be told the neighbours of by the caller.
    ///
    /// # Errors
    /// `WouldBlock` as of [`begin`](Self::begin): the address is on both interfaces until the next
    /// call. Others are the host's; if the address cannot return, it stays released.
    pub fn take_back(&mut self, host: &mut impl SoftHost, address: IpNet) -> io::Result<()> {
        host.add_address(self.index, address)?;
        local_first(host, self.index, address)?;
        self.end(host, address)
    }

    /// Whether an address is released, or about to be.
    pub fn is_known(&self, address: IpAddr) -> bool {
        self.known.iter().any(|net| net.addr() == address)
    }

    fn make_ready(&mut self, host: &mut impl SoftHost, address: IpNet) -> io::Result<()> {
        if address.addr().is_ipv4() {
            self.be_quiet(host)?;
        }
        host.add_address(LOOPBACK, alone(address))?;
        self.stand_in(host, address)
    }

    fn be_quiet(&mut self, host: &mut impl SoftHost) -> io::Result<()> {
        for (name, least) in SYSCTLS {
            let path = format!("net/ipv4/conf/{}/{name}", self.interface);
            self.raise(host, path, *least)?;
        }
        Ok(())
    }

    fn stand_in(&self, host: &mut impl SoftHost, address: IpNet) -> io::Result<()> {
        network(address).map_or(Ok(()), |network| host.add_route(self.index, network))
    }

    /// Puts back what no other address needs any more.
    fn tidy(&mut self, host: &mut impl SoftHost, address: IpNet) -> io::Result<()> {
        let mut outcome = Ok(());
        if let Some(network) = network(address)
            && !self.known.iter().any(|other| other.trunc() == network)
        {
            outcome = host.remove_route(self.index, network);
        }
        if address.addr().is_ipv4() && self.known.iter().all(|other| other.addr().is_ipv6()) {
            self.restore(host);
        }
        outcome
    }

    /// Sets it unless it is that high already: higher values tell neighbours even less.
    fn raise(&mut self, host: &mut impl SoftHost, path: String, least: u32) -> io::Result<()> {
        let value = host.sysctl(&path)?;
        if value.parse::<u32>().is_ok_and(|value| value >= least) {
            return Ok(());
        }
        host.set_sysctl(&path, &least.to_string())?;
        self.before.push((path, value));
        Ok(())
    }

    /// What cannot be put back stays: that is no reason to stop here.
    fn restore(&mut self, host: &mut impl SoftHost) {
        for (path, value) in self.before.drain(..) {
            let _ = host.set_sysctl(&path, &value);
        }
    }
}

/// Before the address leaves another interface.
fn local_first(host: &mut impl SoftHost, index: u32, address: IpNet) -> io::Result<()> {
    if host.is_local(index, address.addr())? {
        return Ok(());
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// The address without its network.
fn alone(address: IpNet) -> IpNet {
    IpNet::from(address.addr())
}

/// The network whose neighbours the address makes reachable, if it does so.
fn network(address: IpNet) -> Option<IpNet> {
    (address.prefix_len() < address.max_prefix_len()).then(|| address.trunc())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_address_is_on_the_loopback_interface_before_it_leaves_its_own() {
        let (mut host, mut soft) = (Recorder::default(), SoftRelease::new("eth0", 2));
        soft.begin(&mut host, net("192.0.2.10/24")).expect("begun");
        assert_eq!(
            host.done(),
            [
                "arp_ignore=1",
                "arp_announce=2",
                "promote_secondaries=1",
                "add 192.0.2.10/32 to 1",
                "route 192.0.2.0/24 through 2",
                "remove 192.0.2.10/24 from 2",
                "route 192.0.2.0/24 through 2",
            ]
        );
        assert!(soft.is_known(net("192.0.2.10/24").addr()));
        soft.end(&mut host, net("192.0.2.10/24")).expect("ended");
        assert_eq!(
            host.done(),
            [
                "remove 192.0.2.10/32 from 1",
                "no route 192.0.2.0/24 through 2",
                "arp_ignore=0",
                "arp_announce=0",
                "promote_secondaries=0",
            ]
        );
        assert!(!soft.is_known(net("192.0.2.10/24").addr()));
    }

    #[test]
    fn an_address_stays_on_one_interface_until_it_is_local_by_the_other() {
        let (mut host, mut soft) = (Recorder::default(), SoftRelease::new("eth0", 2));
        let address = net("2001:db8::a/64");
        host.late = 2;
        for _ in 0..2 {
            let error = soft.begin(&mut host, address).expect_err("it is not");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
        let done = host.done();
        assert!(!done.iter().any(|step| step.contains("remove")), "{done:?}");
        soft.begin(&mut host, address).expect("it is");
        host.done();

        host.late = 1;
        let error = soft.take_back(&mut host, address).expect_err("it is not");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(host.done(), ["add 2001:db8::a/64 to 2"]);
        soft.take_back(&mut host, address).expect("it is");
        assert!(!soft.is_known(address.addr()));
    }

    #[test]
    fn ipv6_needs_no_setting() {
        let (mut host, mut soft) = (Recorder::default(), SoftRelease::new("eth0", 2));
        soft.begin(&mut host, net("2001:db8::a/64")).expect("begun");
        assert_eq!(
            host.done(),
            [
                "add 2001:db8::a/128 to 1",
                "route 2001:db8::/64 through 2",
                "remove 2001:db8::a/64 from 2",
                "route 2001:db8::/64 through 2",
            ]
        );
    }

    #[test]
    fn settings_stay_until_the_last_address_and_one_that_is_higher_stays_as_it_is() {
        let (mut host, mut soft) = (Recorder::default(), SoftRelease::new("eth0", 2));
        host.set("arp_ignore", "8");
        soft.begin(&mut host, net("192.0.2.10/24")).expect("begun");
        soft.begin(&mut host, net("192.0.2.11/24")).expect("begun");
        soft.begin(&mut host, net("192.0.2.11/24")).expect("begun");
        host.done();
        soft.end(&mut host, net("192.0.2.10/24")).expect("ended");
        assert_eq!(host.done(), ["remove 192.0.2.10/32 from 1"]);
        soft.take_back(&mut host, net("192.0.2.11/24"))
            .expect("taken");
        assert_eq!(
            host.done(),
            [
                "add 192.0.2.11/24 to 2",
                "remove 192.0.2.11/32 from 1",
                "no route 192.0.2.0/24 through 2",
                "arp_announce=0",
                "promote_secondaries=0",
            ]
        );
    }

    #[test]
    fn wherever_a_preparation_fails_everything_is_as_before() {
        for step in 0..5 {
            let (mut host, mut soft) = (Recorder::default(), SoftRelease::new("eth0", 2));
            host.fails_at = Some(step);
            soft.begin(&mut host, net("192.0.2.10/24"))
                .expect_err("it fails");
            assert!(
                host.sysctls.values().all(|value| value == "0"),
                "{step}: {host:?}"
            );
            assert_eq!(host.on_loopback, 0, "{step}");
            assert!(!soft.is_known(net("192.0.2.10/24").addr()), "{step}");
        }
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    /// Writes down what is done.
    #[derive(Debug, Default)]
    struct Recorder {
        /// So often an address is asked for before it is local.
        late: usize,
        done: Vec<String>,
        sysctls: BTreeMap<String, String>,
        on_loopback: i32,
        fails_at: Option<usize>,
    }

    impl Recorder {
        fn done(&mut self) -> Vec<String> {
            std::mem::take(&mut self.done)
        }

        fn set(&mut self, name: &str, value: &str) {
            let path = format!("net/ipv4/conf/eth0/{name}");
            self.sysctls.insert(path, value.to_owned());
        }

        fn note(&mut self, text: String) -> io::Result<()> {
            if self.fails_at == Some(self.done.len()) {
                self.fails_at = None;
                return Err(io::ErrorKind::Other.into());
            }
            self.done.push(text);
            Ok(())
        }
    }

    impl SoftHost for Recorder {
        fn add_address(&mut self, index: u32, address: IpNet) -> io::Result<()> {
            self.note(format!("add {address} to {index}"))?;
            self.on_loopback += i32::from(index == LOOPBACK);
            Ok(())
        }

        fn remove_address(&mut self, index: u32, address: IpNet) -> io::Result<bool> {
            self.note(format!("remove {address} from {index}"))?;
            let was = index != LOOPBACK || self.on_loopback > 0;
            self.on_loopback -= i32::from(was && index == LOOPBACK);
            Ok(was)
        }

        fn is_local(&mut self, _: u32, _: IpAddr) -> io::Result<bool> {
            let is_local = self.late == 0;
            self.late = self.late.saturating_sub(1);
            Ok(is_local)
        }

        fn add_route(&mut self, index: u32, network: IpNet) -> io::Result<()> {
            self.note(format!("route {network} through {index}"))
        }

        fn remove_route(&mut self, index: u32, network: IpNet) -> io::Result<()> {
            self.note(format!("no route {network} through {index}"))
        }

        fn sysctl(&mut self, path: &str) -> io::Result<String> {
            Ok(self
                .sysctls
                .get(path)
                .cloned()
                .unwrap_or_else(|| "0".to_owned()))
        }

        fn set_sysctl(&mut self, path: &str, value: &str) -> io::Result<()> {
            let name = path.rsplit('/').next().unwrap_or_default();
            self.note(format!("{name}={value}"))?;
            self.sysctls.insert(path.to_owned(), value.to_owned());
            Ok(())
        }
    }
}
