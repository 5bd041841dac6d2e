//! The handover under load.

use std::time::Duration;

use pointsman::control::contact::group::Family;
use pointsman::control::contact::relay::soft::{SoftHost as _, SoftRelease};
use pointsman::control::contact::relay::{Hook, Relay};

use crate::lab::{self, Host, INDEX, INTERFACE, Lab, ThisHost, add, contact, ip, neighbour};
use crate::load::{Kept, Load, Servers, Told};
use crate::support::say;

#[test]
fn no_connection_breaks_and_none_is_refused() {
    if crate::applies("no_connection_breaks_and_none_is_refused") {
        goes_on("ipv4", Family::Ipv4, None, "1");
    }
}

#[test]
fn no_connection_of_ipv6_breaks() {
    if crate::applies("no_connection_of_ipv6_breaks") {
        goes_on("ipv6", Family::Ipv6, None, "1");
    }
}

#[test]
fn a_new_holder_that_answers_by_syn_cookies_knows_its_own() {
    if crate::applies("a_new_holder_that_answers_by_syn_cookies_knows_its_own") {
        goes_on("ipv4, cookies", Family::Ipv4, None, "2");
        goes_on("ipv6, cookies", Family::Ipv6, None, "2");
    }
}

#[test]
fn a_filter_of_clsact_relays_as_well() {
    if crate::applies("a_filter_of_clsact_relays_as_well") {
        goes_on("ipv4, clsact", Family::Ipv4, Some(Hook::Clsact), "1");
    }
}

#[test]
fn without_a_relay_old_connections_break() {
    if !crate::applies("without_a_relay_old_connections_break") {
        return;
    }
    let handover = Handover::start(Family::Ipv4);
    let load = handover.load();
    handover.hand_over(|| {});
    let told = load.end();
    tell("ipv4, no relay", &told, 0);
    let broken = told.kept.iter().filter(|told| told.is_err()).count();
    assert_eq!(broken, 20, "{:?}", told.kept);
    assert!(told.download.is_err() && told.upload.is_err());
    assert!(handover.lab.tcp_counter(Host::New, "OutRsts") > 0);
}

#[test]
fn a_relay_that_is_cleared_passes_nothing_on() {
    if !crate::applies("a_relay_that_is_cleared_passes_nothing_on") {
        return;
    }
    let handover = Handover::start(Family::Ipv4);
    let address = contact(Family::Ipv4).addr();
    let mut relay = handover.attach(None);
    let mut kept = handover
        .lab
        .within(Host::Client, || [Kept::open(address), Kept::open(address)]);
    handover.hand_over(|| relay.set(address, Host::Old.mac()).unwrap());
    assert_eq!(kept[0].ask().unwrap(), "old");
    let relayed = relay.relayed();
    assert!(relayed > 0);
    relay.clear(address).unwrap();
    assert!(kept[0].ask().is_err());
    assert_eq!(relay.relayed(), relayed);

    relay.set(address, Host::Old.mac()).unwrap();
    assert_eq!(kept[1].ask().unwrap(), "old");
    drop(relay);
    assert!(kept[1].ask().is_err());
}

/// Hands over under load, and nobody notices.
fn goes_on(title: &str, family: Family, hook: Option<Hook>, cookies: &str) {
    let handover = Handover::start(family);
    let set = || ThisHost.set_sysctl("net/ipv4/tcp_syncookies", cookies);
    handover.lab.within(Host::New, set).unwrap();
    let mut relay = handover.attach(hook);
    let load = handover.load();
    let address = contact(family).addr();
    handover.hand_over(|| relay.set(address, Host::Old.mac()).unwrap());
    let told = load.end();
    tell(title, &told, relay.relayed());

    for told in &told.kept {
        assert!(matches!(told, Ok(answers) if *answers > 50), "{told:?}");
    }
    told.download.unwrap();
    told.upload.unwrap();
    let fresh = told.fresh;
    assert!(
        fresh.failed == 0 && fresh.old > 50 && fresh.new > 50,
        "{fresh:?}"
    );
    assert!(relay.relayed() > 1000);
    for host in [Host::Old, Host::New] {
        assert_eq!(handover.lab.tcp_counter(host, "OutRsts"), 0, "{host:?}");
    }
    let neighbour = handover.lab.within(Host::Client, || neighbour(family));
    assert!(neighbour.contains("02:00:00:00:07:03"), "{neighbour}");
}

struct Handover {
    lab: Lab,
    family: Family,
    _servers: [Servers; 2],
}

impl Handover {
    /// The old holder has the address.
    fn start(family: Family) -> Self {
        let lab = Lab::start();
        lab.within(Host::Old, || add(contact(family)));
        let servers = [(Host::Old, "old"), (Host::New, "new")];
        let servers = servers.map(|(host, name)| Servers::start(&lab, host, name));
        Self {
            lab,
            family,
            _servers: servers,
        }
    }

    /// By this hook, or by what the kernel has.
    fn attach(&self, hook: Option<Hook>) -> Relay {
        let attach = || match hook {
            Some(hook) => Relay::attach_by(hook, INTERFACE, INDEX, Host::New.mac()),
            None => Relay::attach(INTERFACE, INDEX, Host::New.mac()),
        };
        self.lab.within(Host::New, attach).unwrap()
    }

    /// Under way, for some hundred connections.
    fn load(&self) -> Load {
        let load = Load::start(&self.lab, contact(self.family).addr());
        crate::support::wait_until("the load is under way", || load.served() > 300);
        load
    }

    /// The steps in their order. `set` makes the new holder relay, if it is to.
    fn hand_over(&self, set: impl FnOnce() + Send) {
        let (family, address) = (self.family, contact(self.family));
        let mut soft = SoftRelease::new(INTERFACE, INDEX);
        self.lab
            .within(Host::Old, || soft.prepare(&mut ThisHost, address))
            .unwrap();
        self.lab.within(Host::New, || {
            set();
            add(address);
            lab::announce(family);
        });
        std::thread::sleep(Duration::from_millis(50));
        let release = || lab::soon(|| soft.begin(&mut ThisHost, address));
        self.lab.within(Host::Old, release);
        // Whoever asks for whom now, the address stays at the new holder.
        for host in [Host::Old, Host::Client] {
            self.lab
                .within(host, || ip(&format!("neigh flush dev {INTERFACE}")));
        }
    }
}

fn tell(title: &str, told: &Told, relayed: u64) {
    let kept: Vec<usize> = told
        .kept
        .iter()
        .filter_map(|told| told.as_ref().ok().copied())
        .collect();
    say(&format!(
        "{title}: {} of {} kept connections went on with {} requests, download {:?}, upload {:?}, \
         new connections {:?}, {relayed} packets passed on",
        kept.len(),
        told.kept.len(),
        kept.iter().sum::<usize>(),
        told.download,
        told.upload,
        told.fresh,
    ));
}
