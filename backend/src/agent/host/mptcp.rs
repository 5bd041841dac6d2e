//! The endpoints of MPTCP (RFC 8684) that the kernel's path manager knows (`linux/mptcp_pm.h`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::NLM_F_DUMP;
use rustix::io::Errno;

use crate::netlink::{Message, Socket, attributes};

// `linux/genetlink.h`
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const GENL_HEADER: usize = 4;

const FAMILY: &[u8] = b"mptcp_pm\0";
const VERSION: u8 = 1;
const ADD_ADDR: u8 = 1;
const DEL_ADDR: u8 = 2;
const GET_ADDR: u8 = 3;
const SET_LIMITS: u8 = 5;
const GET_LIMITS: u8 = 6;
const ATTR_ADDR: u16 = 1;
const ATTR_RCV_ADD_ADDRS: u16 = 2;
const ATTR_SUBFLOWS: u16 = 3;
const ADDR_FAMILY: u16 = 1;
const ADDR_ID: u16 = 2;
const ADDR_4: u16 = 3;
const ADDR_6: u16 = 4;
const ADDR_FLAGS: u16 = 6;
const FLAG_SIGNAL: u32 = 1;
const FLAG_BACKUP: u32 = 4;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// An address that the path manager knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Its number, from 1 on.
    pub(super) id: u8,
    /// Which.
    pub(super) ip: IpAddr,
    /// Clients are told of it.
    pub(super) signal: bool,
}

/// The kernel's path manager.
#[derive(Debug)]
pub(super) struct PathManager {
    socket: Socket,
    family: u16,
}

impl PathManager {
    /// Of this network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::generic()?;
        let mut request = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
        attributes::put(&mut request, CTRL_ATTR_FAMILY_NAME, FAMILY);
        let mut family = None;
        let asked = socket.request_raw(GENL_ID_CTRL, 0, &request, |reply| {
            let content = reply.content.get(GENL_HEADER..).unwrap_or_default();
            let mut parts = attributes::read(content);
            let id = parts.find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID);
            family = id.and_then(|(_, id)| Some(u16::from_ne_bytes(id.try_into().ok()?)));
            Ok(())
        });
        match (asked, family) {
            (Ok(()), Some(family)) => Ok(Self { socket, family }),
            (Ok(()) | Err(Errno::NOENT), _) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel has no MPTCP (CONFIG_MPTCP)",
            )),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// All endpoints.
    pub(super) fn endpoints(&self) -> io::Result<Vec<Endpoint>> {
        let mut endpoints = vec![];
        let request = [GET_ADDR, VERSION, 0, 0];
        self.socket
            .request_raw(self.family, NLM_F_DUMP, &request, |reply| {
                endpoints.extend(endpoint(reply));
                Ok(())
            })?;
        Ok(endpoints)
    }

    /// Adds one. That its address is there already is no error.
    pub(super) fn add(&self, endpoint: Endpoint) -> io::Result<()> {
        let known = self.endpoints()?;
        if known.iter().any(|known| known.ip == endpoint.ip) {
            return Ok(());
        }
        Ok(self.about(ADD_ADDR, endpoint)?)
    }

    /// Removes one. That it is not there is no error.
    pub(super) fn remove(&self, endpoint: Endpoint) -> io::Result<()> {
        match self.about(DEL_ADDR, endpoint) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How many addresses of a peer a connection takes, and how many further paths it has at most.
    pub(super) fn limits(&self) -> io::Result<(u32, u32)> {
        let mut limits = (0, 0);
        let request = [GET_LIMITS, VERSION, 0, 0];
        self.socket.request_raw(self.family, 0, &request, |reply| {
            let content = reply.content.get(GENL_HEADER..).unwrap_or_default();
            for (kind, value) in attributes::read(content) {
                let number = value.try_into().map_or(0, u32::from_ne_bytes);
                match kind {
                    ATTR_RCV_ADD_ADDRS => limits.0 = number,
                    ATTR_SUBFLOWS => limits.1 = number,
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(limits)
    }

    /// Sets them, 8 at most.
    pub(super) fn set_limits(&self, (taken, paths): (u32, u32)) -> io::Result<()> {
        let mut request = vec![SET_LIMITS, VERSION, 0, 0];
        attributes::put(&mut request, ATTR_RCV_ADD_ADDRS, &taken.to_ne_bytes());
        attributes::put(&mut request, ATTR_SUBFLOWS, &paths.to_ne_bytes());
        Ok(self
            .socket
            .request_raw(self.family, 0, &request, |_| Ok(()))?)
    }

    fn about(&self, command: u8, endpoint: Endpoint) -> Result<(), Errno> {
        let mut inside = vec![];
        let (family, kind, octets) = match endpoint.ip {
            IpAddr::V4(ip) => (AF_INET, ADDR_4, ip.octets().to_vec()),
            IpAddr::V6(ip) => (AF_INET6, ADDR_6, ip.octets().to_vec()),
        };
        let flags = match endpoint.signal {
            true => FLAG_SIGNAL,
            false => FLAG_BACKUP,
        };
        attributes::put(&mut inside, ADDR_FAMILY, &family.to_ne_bytes());
        attributes::put(&mut inside, ADDR_ID, &[endpoint.id]);
        attributes::put(&mut inside, kind, &octets);
        attributes::put(&mut inside, ADDR_FLAGS, &flags.to_ne_bytes());
        let mut request = vec![command, VERSION, 0, 0];
        attributes::put_nested(&mut request, ATTR_ADDR, &inside);
        self.socket
            .request_raw(self.family, 0, &request, |_| Ok(()))
    }
}

fn endpoint(message: Message<'_>) -> Option<Endpoint> {
    let mut parts = attributes::read(message.content.get(GENL_HEADER..)?);
    let (_, inside) = parts.find(|(kind, _)| kind & 0x3fff == ATTR_ADDR)?;
    let (mut id, mut ip, mut flags) = (0, None, 0);
    for (kind, value) in attributes::read(inside) {
        match kind {
            ADDR_ID => id = *value.first()?,
            ADDR_4 => ip = Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
            ADDR_6 => ip = Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
            ADDR_FLAGS => flags = u32::from_ne_bytes(value.try_into().ok()?),
            _ => {}
        }
    }
    Some(Endpoint {
        id,
        ip: ip?,
        signal: flags & FLAG_SIGNAL != 0,
    })
}
