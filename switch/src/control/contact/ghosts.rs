//! Addresses that another switch holds now, and whose connections still end here: they go on until
//! their clients have left, or their time is over.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::group::GroupId;
use super::host::Host;
use super::relay::soft::SoftRelease;

/// A connection whose first segment came here before the neighbours knew better is there by then.
const LEAST: Duration = Duration::from_secs(1);
/// How often is looked whether anybody is left.
const LOOK: Duration = Duration::from_millis(250);
/// The kernel needs some milliseconds to make an IPv6 address this host's on another interface.
const AGAIN: Duration = Duration::from_millis(2);
/// Until it is done with that, or never will be.
const LONGEST: Duration = Duration::from_millis(200);

/// All addresses that were given away softly.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    places: Vec<(u32, SoftRelease)>,
    ghosts: Vec<Ghost>,
    moves: Vec<Move>,
}

/// The addresses of one group.
#[derive(Debug)]
struct Ghost {
    group: GroupId,
    index: u32,
    addresses: Vec<IpNet>,
    /// Who passes the segments on.
    by: IpAddr,
    from: Instant,
    until: Instant,
    look_at: Instant,
}

/// An address that is on its way from its interface to the loopback interface.
#[derive(Debug, Clone, Copy)]
struct Move {
    index: u32,
    net: IpNet,
    again_at: Instant,
    until: Instant,
}

/// What was given away, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Laid {
    pub(super) group: GroupId,
    pub(super) by: IpAddr,
}

impl Ghosts {
    /// Makes this host ready to give the addresses away, and quiet about them.
    ///
    /// # Errors
    /// It cannot: then they can only be taken off.
    pub(super) fn prepare(
        &mut self,
        host: &mut Host,
        (interface, index): (&str, u32),
        addresses: &[IpNet],
    ) -> io::Result<()> {
        let soft = self.place(interface, index);
        addresses
            .iter()
            .try_for_each(|net| soft.prepare(host, *net))
    }

    /// They are not given away after all.
    pub(super) fn calm(&mut self, host: &mut Host, index: u32, addresses: &[IpNet]) {
        if let Some((_, soft)) = self.places.iter_mut().find(|(at, _)| *at == index) {
            for net in addresses {
                if soft.is_known(net.addr()) {
                    let _ = soft.end(host, *net);
                }
            }
        }
    }

    /// Takes the addresses off the interface; their connections go on until `until`.
    pub(super) fn begin(
        &mut self,
        host: &mut Host,
        (interface, index): (&str, u32),
        (group, addresses): (GroupId, Vec<IpNet>),
        by: IpAddr,
        (now, until): (Instant, Instant),
    ) {
        self.place(interface, index);
        for net in &addresses {
            self.shift(host, Move::new(index, *net, now), now);
        }
        self.ghosts.push(Ghost {
            group,
            index,
            addresses,
            by,
            from: now,
            until,
            look_at: now + LEAST,
        });
    }

    /// Ends the group's, if it has any.
    pub(super) fn end_of(&mut self, host: &mut Host, group: GroupId) -> Option<Laid> {
        let at = self.ghosts.iter().position(|ghost| ghost.group == group)?;
        Some(self.lay(host, at))
    }

    /// Goes on with what is not done yet; ends what nobody uses any more, or whose time is over.
    pub(super) fn tick(
        &mut self,
        host: &mut Host,
        now: Instant,
        connections_at: impl Fn(&[IpAddr]) -> Option<usize>,
    ) -> Vec<Laid> {
        let due = |step: &Move| step.again_at <= now;
        let (again, later) = self.moves.drain(..).partition(due);
        self.moves = later;
        for step in again {
            self.shift(host, step, now);
        }
        let mut laid = Vec::new();
        for at in (0..self.ghosts.len()).rev() {
            let ghost = &mut self.ghosts[at];
            if now < ghost.look_at && now < ghost.until {
                continue;
            }
            ghost.look_at = now + LOOK;
            let addresses: Vec<IpAddr> = ghost.addresses.iter().map(IpNet::addr).collect();
            let is_over = now >= ghost.until || connections_at(&addresses) == Some(0);
            if is_over && now >= ghost.from + LEAST {
                laid.push(self.lay(host, at));
            }
        }
        laid
    }

    /// Ends them all.
    pub(super) fn end(&mut self, host: &mut Host) -> Vec<Laid> {
        let all = (0..self.ghosts.len()).rev();
        all.map(|at| self.lay(host, at)).collect()
    }

    /// When [`Ghosts::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ghosts = self
            .ghosts
            .iter()
            .map(|ghost| ghost.look_at.min(ghost.until));
        ghosts
            .chain(self.moves.iter().map(|step| step.again_at))
            .min()
    }

    /// The addresses that stand on the loopback interface.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let addresses = self.ghosts.iter().flat_map(|ghost| &ghost.addresses);
        addresses.map(IpNet::addr)
    }

    /// One step of a move; it is done again soon if the kernel is not ready.
    fn shift(&mut self, host: &mut Host, step: Move, now: Instant) {
        let Move { index, net, .. } = step;
        let Some((_, soft)) = self.places.iter_mut().find(|(at, _)| *at == index) else {
            return;
        };
        match soft.begin(host, net) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && now < step.until => {
                let again_at = now + AGAIN;
                self.moves.push(Move { again_at, ..step });
            }
            Err(error) => {
                tracing::warn!("connections to {net} are not kept: {error}");
                let _ = host.remove_address(index, net);
                let _ = soft.end(host, net);
            }
        }
    }

    fn lay(&mut self, host: &mut Host, at: usize) -> Laid {
        let ghost = self.ghosts.swap_remove(at);
        let place = self
            .places
            .iter_mut()
            .find(|(index, _)| *index == ghost.index);
        if let Some((_, soft)) = place {
            for net in &ghost.addresses {
                self.moves.retain(|other| other.net != *net);
                if let Err(error) = soft.end(host, *net) {
                    tracing::warn!("{net} could not be laid down: {error}");
                }
            }
        }
        Laid {
            group: ghost.group,
            by: ghost.by,
        }
    }

    fn place(&mut self, interface: &str, index: u32) -> &mut SoftRelease {
        let found = self.places.iter().position(|(at, _)| *at == index);
        let at = found.unwrap_or_else(|| {
            let soft = SoftRelease::new(interface, index);
            self.places.push((index, soft));
            self.places.len() - 1
        });
        &mut self.places[at].1
    }
}

impl Move {
    fn new(index: u32, net: IpNet, now: Instant) -> Self {
        Self {
            index,
            net,
            again_at: now,
            until: now + LONGEST,
        }
    }
}
