//! An interface with a group's virtual link-layer address (RFC 9568, 7.3): the neighbours keep the
//! entry that they have when another switch takes over; the network's bridges alone learn anew.

use std::io;

use super::netlink::{Host, Link};
use super::sysctl::{self, Sysctl};
use crate::control::contact::group::{Family, GroupId};

/// It answers for its own addresses alone, and its address is the one that it asks with, too: the
/// parent's link-layer address never appears beside a contact address.
const PARENT: [(&str, &str); 2] = [("arp_ignore", "1"), ("arp_announce", "2")];

/// Not for the parent's addresses (`arp_ignore`), but for its own ones even though the way back to
/// the asker leads through the parent (`arp_filter`, `accept_local`). When the first of its
/// addresses is removed the others stay.
const OWN_IPV4: [(&str, &str); 4] = [
    ("arp_ignore", "1"),
    ("arp_filter", "0"),
    ("accept_local", "1"),
    ("promote_secondaries", "1"),
];

/// No address that the kernel makes by itself, link-local or by router advertisements.
const OWN_IPV6: [(&str, &str); 3] = [
    ("addr_gen_mode", "1"),
    ("accept_ra", "0"),
    ("autoconf", "0"),
];

/// An interface for the addresses of one group, on top of another one. It is removed, with its
/// addresses, when this is dropped, unless another process has it, too.
#[derive(Debug)]
pub struct VirtualMac {
    /// The kernel's number for it.
    pub index: u32,
    /// 00:00:5e:00:01:NUMBER for IPv4, 00:00:5e:00:02:NUMBER for IPv6.
    pub mac: [u8; 6],
    name: String,
    host: Host,
    /// Of the parent.
    settings: Vec<Sysctl>,
    /// Whether it is removed in the end.
    is_own: bool,
}

impl VirtualMac {
    /// Creates it on top of `parent`, up and without addresses. One that is left from an earlier
    /// process is replaced.
    ///
    /// # Errors
    /// The parent cannot have such a child, a setting below `/proc/sys` cannot be written, or this
    /// process lacks `CAP_NET_ADMIN`. Then nothing is left of it.
    pub fn create(host: &Host, parent: &Link, group: GroupId) -> io::Result<Self> {
        let (name, mac) = (name(group), mac(group));
        let settings = parent_settings(parent, group.family)?;
        // Requests of a drop must not depend on the caller's host.
        let own = Host::open()?;
        let index = host.create_macvlan(parent.index, &name, mac)?;
        let created = Self {
            index,
            mac,
            name,
            host: own,
            settings,
            is_own: true,
        };
        created.prepare(group.family)?;
        host.set_up(index)?;
        Ok(created)
    }

    /// The one that another process has on top of `parent`, with its addresses; `None` when there is
    /// none like that. Until [`VirtualMac::claim`] it is the other's.
    ///
    /// # Errors
    /// A setting below `/proc/sys` cannot be written, or the kernel does not answer.
    pub fn adopt(host: &Host, parent: &Link, group: GroupId) -> io::Result<Option<Self>> {
        let (name, mac) = (name(group), mac(group));
        let Some(index) = host.macvlan(parent.index, &name, mac)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            index,
            mac,
            name,
            host: Host::open()?,
            settings: parent_settings(parent, group.family)?,
            is_own: false,
        }))
    }

    /// Leaves it to another process: it stays when this is dropped.
    pub fn leave(&mut self) {
        self.is_own = false;
    }

    /// It is this process's from now on, or again.
    pub fn claim(&mut self) {
        self.is_own = true;
    }

    /// Such as `pm-51-4`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Before it is up: with that, IPv6 makes addresses.
    fn prepare(&self, family: Family) -> io::Result<()> {
        let set = |family, key, value| {
            sysctl::replace(&sysctl::path(&self.name, family, key), value).map(|_| ())
        };
        let settings: &[_] = match family {
            Family::Ipv4 => &OWN_IPV4,
            Family::Ipv6 => &OWN_IPV6,
        };
        for (key, value) in settings {
            set(family, key, value)?;
        }
        if family == Family::Ipv4 {
            set(family, "rp_filter", reverse_path_filter()?)?;
            // Without IPv6 in the kernel there is nothing to switch off.
            let _ = set(Family::Ipv6, "disable_ipv6", "1");
        }
        Ok(())
    }
}

impl Drop for VirtualMac {
    fn drop(&mut self) {
        if self.is_own {
            let _ = self.host.remove_link(self.index);
        } else {
            // Who has it needs the parent's settings as they are.
            std::mem::forget(std::mem::take(&mut self.settings));
        }
    }
}

fn name(group: GroupId) -> String {
    let family = match group.family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 6,
    };
    format!("pm-{}-{family}", group.number)
}

/// The link-layer address of a group.
pub fn mac(group: GroupId) -> [u8; 6] {
    let family = match group.family {
        Family::Ipv4 => 1,
        Family::Ipv6 => 2,
    };
    [0, 0, 0x5e, 0, family, group.number]
}

/// IPv6 needs none: an interface answers solicitations for its own addresses alone.
fn parent_settings(parent: &Link, family: Family) -> io::Result<Vec<Sysctl>> {
    let wanted = match family {
        Family::Ipv4 => &PARENT[..],
        Family::Ipv6 => &[],
    };
    let set = |(key, value): &(&str, &str)| Sysctl::set_for(&parent.name, family, key, value);
    wanted.iter().map(set).collect()
}

/// Clients' packets come in here and the way back leads through the parent, which the strict filter
/// takes for forgery. The higher one of this and of `all` counts: where `all` is strict (1), loose
/// (2) overrules it.
fn reverse_path_filter() -> io::Result<&'static str> {
    let all = sysctl::read(&sysctl::path("all", Family::Ipv4, "rp_filter"))?;
    Ok(if all == "0" { "0" } else { "2" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_the_link_layer_address_of_the_standard() {
        let group = |family| GroupId {
            number: 255,
            family,
        };
        assert_eq!(name(group(Family::Ipv4)), "pm-255-4");
        assert_eq!(mac(group(Family::Ipv4)), [0, 0, 0x5e, 0, 1, 255]);
        assert_eq!(mac(group(Family::Ipv6)), [0, 0, 0x5e, 0, 2, 255]);
    }
}
