//! Routes for marked packets alone (ip-rule(8), `fwmark`): each mark has a table of its own.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleHeader, RuleMessage};
use rustix::io::Errno;

use super::socket::Message;
use super::ways::{family_of, route_address};
use super::{Host, explained, read};
use crate::control::contact::group::Family;

/// Bytes before the attributes.
const RULE_HEADER: usize = 12;
/// In a rule's description (`linux/fib_rules.h`).
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
/// The table of the host's own addresses.
const LOCAL: u8 = 255;

/// A rule as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Rules of smaller numbers come first.
    pub priority: u32,
    /// It holds for packets with this mark.
    pub mark: Option<u32>,
    /// It leads to the table of the host's own addresses, for all packets.
    pub local: bool,
    /// It is one of [`Host::add_skip`].
    pub skips: bool,
}

impl Host {
    /// The rules of a family.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn rules(&self, family: Family) -> io::Result<Vec<Rule>> {
        let mut message = RuleMessage::default();
        message.header.family = family_of(family);
        let mut rules = Vec::new();
        let request = RouteNetlinkMessage::GetRule(message);
        let asked = self.0.request(request, NLM_F_DUMP, |reply| {
            rules.extend(rule(reply));
            Ok(())
        });
        asked.map(|()| rules).map_err(explained)
    }

    /// Leads packets with this mark to the table of the same number.
    ///
    /// # Errors
    /// This process lacks `CAP_NET_ADMIN`, which the text then says.
    pub fn add_mark(&self, family: Family, mark: u32, priority: u32) -> io::Result<()> {
        self.add_rule(mark_rule(family, mark, priority))
    }

    /// Ends what [`Host::add_mark`] began. That it is not there is no error.
    ///
    /// # Errors
    /// As of [`Host::add_mark`].
    pub fn remove_mark(&self, family: Family, mark: u32, priority: u32) -> io::Result<()> {
        self.remove_rule(mark_rule(family, mark, priority))
    }

    /// Packets whose mark is none of `mark/mask` pass all rules over that come before `target`.
    ///
    /// # Errors
    /// As of [`Host::add_mark`].
    pub fn add_skip(
        &self,
        family: Family,
        (mark, mask): (u32, u32),
        priority: u32,
        target: u32,
    ) -> io::Result<()> {
        self.add_rule(skip_rule(family, (mark, mask), priority, target))
    }

    /// Ends what [`Host::add_skip`] began. That it is not there is no error.
    ///
    /// # Errors
    /// As of [`Host::add_mark`].
    pub fn remove_skip(
        &self,
        family: Family,
        (mark, mask): (u32, u32),
        priority: u32,
        target: u32,
    ) -> io::Result<()> {
        self.remove_rule(skip_rule(family, (mark, mask), priority, target))
    }

    /// Moves the rule of the host's own addresses. At no moment there is none.
    ///
    /// # Errors
    /// As of [`Host::add_mark`].
    pub fn move_local(&self, family: Family, from: u32, to: u32) -> io::Result<()> {
        self.add_rule(local_rule(family, to))?;
        self.remove_rule(local_rule(family, from))
    }

    /// In this table, packets to an address go to a neighbour, from an address of this host.
    ///
    /// # Errors
    /// The interface or the address is not there, or this process lacks `CAP_NET_ADMIN`.
    pub fn set_detour(
        &self,
        table: u32,
        to: IpAddr,
        by: (u32, IpAddr),
        source: IpAddr,
    ) -> io::Result<()> {
        let mut message = detour(table, to);
        let (interface, gateway) = by;
        message.attributes.extend([
            RouteAttribute::Oif(interface),
            RouteAttribute::Gateway(route_address(gateway)),
            RouteAttribute::PrefSource(route_address(source)),
        ]);
        let request = RouteNetlinkMessage::NewRoute(message);
        self.tell(request, NLM_F_CREATE | NLM_F_REPLACE)
            .map_err(explained)
    }

    /// Ends what [`Host::set_detour`] began. That it is not there is no error.
    ///
    /// # Errors
    /// This process lacks `CAP_NET_ADMIN`.
    pub fn remove_detour(&self, table: u32, to: IpAddr) -> io::Result<()> {
        let request = RouteNetlinkMessage::DelRoute(detour(table, to));
        match self.tell(request, 0) {
            Ok(()) | Err(Errno::SRCH | Errno::NODEV | Errno::NOENT) => Ok(()),
            Err(error) => Err(explained(error)),
        }
    }

    fn add_rule(&self, rule: RuleMessage) -> io::Result<()> {
        let request = RouteNetlinkMessage::NewRule(rule);
        match self.tell(request, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(explained(error)),
        }
    }

    fn remove_rule(&self, rule: RuleMessage) -> io::Result<()> {
        match self.tell(RouteNetlinkMessage::DelRule(rule), 0) {
            Ok(()) | Err(Errno::NOENT | Errno::SRCH) => Ok(()),
            Err(error) => Err(explained(error)),
        }
    }
}

fn rule_to(family: Family, table: u32, priority: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(family);
    message.header.table = u8::try_from(table).unwrap_or_default();
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Table(table),
        RuleAttribute::Priority(priority),
    ];
    message
}

fn mark_rule(family: Family, mark: u32, priority: u32) -> RuleMessage {
    let mut message = rule_to(family, mark, priority);
    message.attributes.push(RuleAttribute::FwMark(mark));
    message.attributes.push(RuleAttribute::FwMask(u32::MAX));
    message
}

fn local_rule(family: Family, priority: u32) -> RuleMessage {
    rule_to(family, LOCAL.into(), priority)
}

fn skip_rule(family: Family, (mark, mask): (u32, u32), priority: u32, target: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(family);
    message.header.action = RuleAction::Goto;
    message.header.flags = RuleFlags::Invert;
    message.attributes = vec![
        RuleAttribute::Goto(target),
        RuleAttribute::Priority(priority),
        RuleAttribute::FwMark(mark),
        RuleAttribute::FwMask(mask),
    ];
    message
}

fn detour(table: u32, to: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = super::ways::family(to);
    message.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Table(table),
        RouteAttribute::Destination(route_address(to)),
    ];
    message
}

fn rule(message: Message<'_>) -> Option<Rule> {
    if message.kind != libc::RTM_NEWRULE {
        return None;
    }
    let header = RuleHeader::parse(message.content).ok()?;
    let (mut priority, mut mark) = (0, None);
    for (kind, value) in read::attributes(message.content.get(RULE_HEADER..)?) {
        let number = value.try_into().ok().map(u32::from_ne_bytes);
        match kind {
            FRA_PRIORITY => priority = number?,
            FRA_FWMARK => mark = number,
            _ => {}
        }
    }
    let plain = header.src_len == 0 && header.dst_len == 0 && mark.is_none();
    Some(Rule {
        priority,
        mark,
        local: plain && header.action == RuleAction::ToTable && header.table == LOCAL,
        skips: header.action == RuleAction::Goto && mark.is_some(),
    })
}
