//! Routes to a network without a gateway.

use std::io;
use std::net::Ipv6Addr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::{Host, explained, read};

impl Host {
    /// Adds a route to a network whose neighbours are at this interface, preferred less than any
    /// other with a smaller `metric`. One that is there already stays.
    ///
    /// # Errors
    /// There is no such interface, or this process lacks `CAP_NET_ADMIN`, which the text then says.
    pub fn add_route(&self, index: u32, network: IpNet, metric: u32) -> io::Result<()> {
        let request = RouteNetlinkMessage::NewRoute(route_message(index, network, metric));
        match self.tell(request, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(explained(error)),
        }
    }

    /// Whether packets to an IPv6 address are this host's by way of this very interface. The kernel
    /// enters that route a moment after the address.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn has_local_route(&self, index: u32, ip: Ipv6Addr) -> io::Result<bool> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet6;
        let mut is_there = false;
        let request = RouteNetlinkMessage::GetRoute(message);
        let asked = self.0.request(request, NLM_F_DUMP, |reply| {
            is_there |= read::is_local_route_of(reply, index, ip);
            Ok(())
        });
        // A dump that changes crossed is repeated by whoever asks again.
        asked.map(|()| is_there).or_else(|error| match error {
            Errno::INTR => Ok(is_there),
            error => Err(explained(error)),
        })
    }

    /// Removes a route that [`Host::add_route`] has added. That it is not there is no error.
    ///
    /// # Errors
    /// This process lacks `CAP_NET_ADMIN`, which the text then says.
    pub fn remove_route(&self, index: u32, network: IpNet, metric: u32) -> io::Result<()> {
        let request = RouteNetlinkMessage::DelRoute(route_message(index, network, metric));
        match self.tell(request, 0) {
            Ok(()) | Err(Errno::SRCH | Errno::NODEV) => Ok(()),
            Err(error) => Err(explained(error)),
        }
    }
}

fn route_message(index: u32, network: IpNet, metric: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (family, destination) = match network {
        IpNet::V4(net) => (AddressFamily::Inet, RouteAddress::Inet(net.network())),
        IpNet::V6(net) => (AddressFamily::Inet6, RouteAddress::Inet6(net.network())),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = network.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Destination(destination),
        RouteAttribute::Oif(index),
        RouteAttribute::Priority(metric),
    ];
    message
}
