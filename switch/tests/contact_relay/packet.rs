//! Packets as they are on the wire, made by hand.

use std::net::{IpAddr, SocketAddr};

/// A TCP segment to the local side, or an ICMP error to it.
#[derive(Debug, Clone)]
pub struct Packet {
    pub to: [u8; 6],
    pub from: [u8; 6],
    /// With a tag of VLAN 10.
    pub vlan: bool,
    pub local: IpAddr,
    pub local_port: u16,
    remote: SocketAddr,
    pub hops: u8,
    pub protocol: u8,
    /// Flags and offset (RFC 791).
    pub fragment: u16,
    /// Bytes of IP options.
    pub options: usize,
    /// Of TCP.
    pub flags: u8,
    quote: Option<Quote>,
}

/// The segment that an ICMP error is about.
#[derive(Debug, Clone)]
pub struct Quote {
    /// The type of the error.
    pub kind: u8,
    pub source: IpAddr,
    source_port: u16,
    destination: SocketAddr,
    pub protocol: u8,
}

impl Packet {
    pub fn acknowledge(remote: SocketAddr, local: SocketAddr) -> Self {
        Self {
            to: [0; 6],
            from: [2, 0, 0, 0, 0, 7],
            vlan: false,
            local: local.ip(),
            local_port: local.port(),
            remote,
            hops: 64,
            protocol: 6,
            fragment: 0x4000,
            options: 0,
            flags: 0x10,
            quote: None,
        }
    }

    /// What a router quotes of the other direction.
    pub fn quote(&self) -> Quote {
        Quote {
            kind: 0,
            source: self.local,
            source_port: self.local_port,
            destination: self.remote,
            protocol: 6,
        }
    }

    /// The same, but for something.
    pub fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut packet = self.clone();
        change(&mut packet);
        packet
    }

    pub fn with_quote(mut self, quote: Quote) -> Self {
        self.protocol = if self.local.is_ipv4() { 1 } else { 58 };
        self.quote = Some(quote);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let payload = match &self.quote {
            Some(quote) => quote.bytes(),
            None => self.segment(),
        };
        let mut bytes = [self.to, self.from].concat();
        if self.vlan {
            bytes.extend([0x81, 0, 0, 10]);
        }
        bytes.extend(if self.local.is_ipv4() {
            [8, 0]
        } else {
            [0x86, 0xdd]
        });
        let first = (self.fragment, self.options, self.hops, self.protocol);
        bytes.extend(header(first, self.remote.ip(), self.local, payload.len()));
        bytes.extend(payload);
        bytes
    }

    fn segment(&self) -> Vec<u8> {
        let mut segment = ports(self.remote.port(), self.local_port);
        segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, self.flags, 1, 0, 0, 0, 0, 0]);
        segment
    }
}

impl Quote {
    /// With eight bytes of the segment.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind, 0, 0, 0, 0, 0, 5, 0];
        let first = (0x4000, 0, 60, self.protocol);
        bytes.extend(header(first, self.source, self.destination.ip(), 1400));
        bytes.extend(ports(self.source_port, self.destination.port()));
        bytes.extend([0, 0, 0, 2]);
        bytes
    }
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

/// An IP header: fragment, bytes of options, hops and protocol; both ends; bytes of payload.
fn header(
    (fragment, options, hops, protocol): (u16, usize, u8, u8),
    source: IpAddr,
    destination: IpAddr,
    payload: usize,
) -> Vec<u8> {
    let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let (source, destination) = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let start = [0x60, 0, 0, 0];
            let middle = [&length(payload)[..], &[protocol, hops]].concat();
            let ends = [source.octets(), destination.octets()].concat();
            return [&start[..], &middle, &ends].concat();
        }
        (IpAddr::V4(source), IpAddr::V4(destination)) => (source.octets(), destination.octets()),
        _ => panic!("both ends are of one family"),
    };
    let size = 20 + options;
    let mut header = vec![0x40 | u8::try_from(size / 4).unwrap(), 0];
    header.extend(length(size + payload));
    header.extend([0, 1]);
    header.extend(fragment.to_be_bytes());
    header.extend([hops, protocol, 0, 0]);
    header.extend([source, destination].concat());
    header.resize(size, 1);
    let sum = checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    header
}

/// RFC 1071; 0 over a header that holds its own.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
