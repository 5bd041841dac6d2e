//! What the contact thread tells of itself: plain figures that it replaces as a whole. It waits for
//! no scrape, and no scrape for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::block::Histogram;
use super::collect::{Page, one_if};
use super::table::Family;

/// The words for what a switch is for a group: the `role` label.
pub const ROLES: [&str; 3] = ["active", "standby", "out"];

/// Everything that is counted of the contact addresses since the start of the process.
#[derive(Debug, Clone, Default)]
pub struct ContactFigures {
    /// Of each group and family, and of each address that is announced by itself.
    pub addresses: Vec<AddressFigures>,
    /// Of each switch that the policy names.
    pub peers: Vec<PeerFigures>,
    /// Adverts and heartbeats that were not believed, by reason.
    pub dropped: Tally<&'static str>,
    /// How late the thread woke.
    pub delay: Arc<LoopDelay>,
}

/// The figures of a group of addresses.
#[derive(Debug, Clone, Default)]
pub struct AddressFigures {
    /// What tells it apart from the others: see [`address_label`].
    pub address: String,
    /// How the network learns of it: `vrrp` or `bgp`.
    pub announce: &'static str,
    /// Such as `51/ipv4`; empty without a group.
    pub group: String,
    /// Where it is.
    pub interface: String,
    /// One of [`ROLES`].
    pub role: &'static str,
    /// In force now, 0 to 255.
    pub priority: u8,
    /// Changes of the role, by the new role and the reason.
    pub transitions: Tally<(&'static str, &'static str)>,
    /// From the last sign of the holder before to the first announcement, at the last takeover.
    pub takeover: Option<Duration>,
    /// Peers that would take over.
    pub standbys: u32,
    /// Times that another switch was found to hold it, too.
    pub conflicts: u64,
    /// Packets of connections that are another switch's, passed on to it.
    pub relayed_packets: u64,
    /// Adverts that came and were believed.
    pub adverts_in: u64,
    /// Adverts that were sent.
    pub adverts_out: u64,
}

/// The figures of another switch.
#[derive(Debug, Clone, Default)]
pub struct PeerFigures {
    /// Its address in the policy.
    pub peer: String,
    /// Whether it is in touch.
    pub up: bool,
    /// Whether its policy is another one; `None` while that is unknown.
    pub policy_differs: Option<bool>,
    /// Times that it was taken for dead.
    pub losses: u64,
}

/// The label of a group: its first address that only one interface can have, or else the first one.
/// Groups on two interfaces may share a link-local address (RFC 4291, 2.5.6).
pub fn address_label(addresses: &[IpAddr]) -> String {
    let link_local = |address: &&IpAddr| match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let wide = addresses.iter().find(|address| !link_local(address));
    wide.or(addresses.first())
        .map_or_else(String::new, IpAddr::to_string)
}

/// Counts by word. The words are the program's own: that is their bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<W>(Vec<(W, u64)>);

impl<W: Copy + Eq> Tally<W> {
    /// With these words at zero: of a series that begins with one, Prometheus sees no increase.
    pub fn of(words: &[W]) -> Self {
        Self(words.iter().map(|word| (*word, 0)).collect())
    }

    /// Adds to the count of a word.
    pub fn add(&mut self, word: W, n: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count = count.wrapping_add(n),
            None => self.0.push((word, n)),
        }
    }

    /// The count of a word.
    pub fn get(&self, word: W) -> u64 {
        let found = self.0.iter().find(|(known, _)| *known == word);
        found.map_or(0, |(_, count)| *count)
    }

    /// All counts.
    pub fn iter(&self) -> impl Iterator<Item = (W, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl<W> Default for Tally<W> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// How late the contact thread woke: one thread records, any may read.
#[derive(Debug, Default)]
pub struct LoopDelay(Histogram);

impl LoopDelay {
    /// The thread woke this much later than it had asked for.
    pub fn record(&self, late: Duration) {
        self.0.record(late);
    }
}

pub(super) fn collect(page: &mut Page, figures: &ContactFigures) {
    for (at, address) in figures.addresses.iter().enumerate() {
        // Of a page that has a series twice, Prometheus takes nothing.
        let before = &figures.addresses[..at];
        if before.iter().all(|other| other.address != address.address) {
            address_state(page, address);
            address_counts(page, address);
        }
    }
    for peer in &figures.peers {
        let name = peer.peer.as_str();
        page.put(Family::ContactPeerUp, &[name], one_if(peer.up));
        page.put(Family::ContactPeerLosses, &[name], peer.losses as f64);
        if let Some(differs) = peer.policy_differs {
            page.put(Family::ContactPeerPolicyDiffers, &[name], one_if(differs));
        }
    }
    for (reason, count) in figures.dropped.iter() {
        page.put(Family::ContactDropped, &[reason], count as f64);
    }
    page.put_histogram(Family::ContactLoopDelay, &[], &figures.delay.0);
}

fn address_state(page: &mut Page, figures: &AddressFigures) {
    let address = figures.address.as_str();
    let labels = [
        address,
        figures.announce,
        &figures.group,
        &figures.interface,
    ];
    page.put(Family::ContactInfo, &labels, 1.0);
    for role in ROLES {
        let is = one_if(figures.role == role);
        page.put(Family::ContactRole, &[address, role], is);
    }
    let priority = f64::from(figures.priority);
    page.put(Family::ContactPriority, &[address], priority);
    let standbys = f64::from(figures.standbys);
    page.put(Family::ContactStandbys, &[address], standbys);
    if let Some(takeover) = figures.takeover {
        let seconds = takeover.as_secs_f64();
        page.put(Family::ContactTakeoverDuration, &[address], seconds);
    }
}

fn address_counts(page: &mut Page, figures: &AddressFigures) {
    let address = figures.address.as_str();
    for ((to, reason), count) in figures.transitions.iter() {
        let labels = [address, to, reason];
        page.put(Family::ContactTransitions, &labels, count as f64);
    }
    let conflicts = figures.conflicts as f64;
    page.put(Family::ContactConflicts, &[address], conflicts);
    let relayed = figures.relayed_packets as f64;
    page.put(Family::ContactRelayedPackets, &[address], relayed);
    let adverts = [("in", figures.adverts_in), ("out", figures.adverts_out)];
    for (direction, count) in adverts {
        let labels = [address, direction];
        page.put(Family::ContactAdverts, &labels, count as f64);
    }
}
