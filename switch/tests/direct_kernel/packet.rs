//! Frames made by hand.

use std::net::{IpAddr, SocketAddr};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// Of a frame that comes to the switch; every field may be wrong.
#[derive(Debug, Clone)]
pub struct Packet {
    pub to: [u8; 6],
    pub from: [u8; 6],
    /// Before the EtherType, such as that of a VLAN.
    pub tag: Vec<u8>,
    pub ethertype: u16,
    pub ip: Ip,
    pub payload: Payload,
    /// After the packet: the least length of Ethernet.
    pub padding: usize,
}

#[derive(Debug, Clone)]
pub struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub version: u8,
    pub class: u8,
    pub hops: u8,
    pub protocol: u8,
    /// Flags and offset; of IPv4 alone.
    pub fragment: u16,
    /// Bytes after the header of IPv4; of zeros.
    pub options: usize,
    /// In words, instead of what is true.
    pub header_length: Option<u8>,
    /// Of the whole packet (IPv4) or of what follows the header (IPv6), instead of what is true.
    pub length: Option<u16>,
}

#[derive(Debug, Clone)]
pub enum Payload {
    Tcp {
        source: u16,
        destination: u16,
        flags: u8,
        sequence: u32,
        /// In words.
        offset: u8,
        data: Vec<u8>,
    },
    Udp {
        source: u16,
        destination: u16,
        length: Option<u16>,
        data: Vec<u8>,
    },
    /// An error, or another message, of this type, that quotes this packet.
    Icmp {
        kind: u8,
        quoted: Vec<u8>,
    },
    Raw(Vec<u8>),
}

impl Packet {
    /// A segment from the client to the service.
    pub fn tcp(client: SocketAddr, service: SocketAddr, flags: u8) -> Self {
        let payload = Payload::Tcp {
            source: client.port(),
            destination: service.port(),
            flags,
            sequence: 1,
            offset: 5,
            data: Vec::new(),
        };
        Self::between(client.ip(), service.ip(), 6, payload)
    }

    pub fn udp(client: SocketAddr, service: SocketAddr, data: &[u8]) -> Self {
        let payload = Payload::Udp {
            source: client.port(),
            destination: service.port(),
            length: None,
            data: data.to_vec(),
        };
        Self::between(client.ip(), service.ip(), 17, payload)
    }

    /// A message about a packet that `destination` has sent.
    pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, quoted: &Self) -> Self {
        let quoted = quoted.bytes()[14..].to_vec();
        let protocol = if source.is_ipv4() { 1 } else { 58 };
        Self::between(
            source,
            destination,
            protocol,
            Payload::Icmp { kind, quoted },
        )
    }

    pub fn between(source: IpAddr, destination: IpAddr, protocol: u8, payload: Payload) -> Self {
        let is_ipv4 = destination.is_ipv4();
        Self {
            to: crate::scene::OWN,
            from: crate::scene::ROUTER,
            tag: Vec::new(),
            ethertype: if is_ipv4 { 0x0800 } else { 0x86dd },
            ip: Ip {
                source,
                destination,
                version: if is_ipv4 { 4 } else { 6 },
                class: 0,
                hops: 64,
                protocol,
                fragment: 0x4000,
                options: 0,
                header_length: None,
                length: None,
            },
            payload,
            padding: 0,
        }
    }

    /// The same, but for something.
    pub fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut packet = self.clone();
        change(&mut packet);
        packet
    }

    pub fn with_flags(&self, wanted: u8) -> Self {
        self.but(|packet| {
            if let Payload::Tcp { flags, .. } = &mut packet.payload {
                *flags = wanted;
            }
        })
    }

    pub fn with_sequence(&self, wanted: u32) -> Self {
        self.but(|packet| {
            if let Payload::Tcp { sequence, .. } = &mut packet.payload {
                *sequence = wanted;
            }
        })
    }

    pub fn with_data(&self, length: usize) -> Self {
        self.but(|packet| match &mut packet.payload {
            Payload::Tcp { data, .. } | Payload::Udp { data, .. } => *data = vec![7; length],
            _ => panic!("it has no data"),
        })
    }

    /// What a backend on the same segment is to get of it.
    pub fn passed_on(&self, mac: [u8; 6], source_mac: [u8; 6]) -> Self {
        self.but(|packet| {
            (packet.to, packet.from) = (mac, source_mac);
            packet.ip.hops -= 1;
        })
    }

    /// What a backend in another subnet is to get of it.
    pub fn tunnelled(
        &self,
        (mac, source_mac): ([u8; 6], [u8; 6]),
        (source, destination): (IpAddr, IpAddr),
    ) -> Self {
        let inner = self.but(|packet| packet.ip.hops -= 1).bytes()[14..].to_vec();
        let protocol = if self.ethertype == 0x0800 { 4 } else { 41 };
        let mut outer = Self::between(source, destination, protocol, Payload::Raw(inner));
        outer.ip.class = self.ip.class;
        (outer.to, outer.from) = (mac, source_mac);
        outer
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.to, self.from].concat();
        bytes.extend(&self.tag);
        bytes.extend(self.ethertype.to_be_bytes());
        let payload = self.payload.bytes(&self.ip);
        bytes.extend(self.ip.header(payload.len()));
        bytes.extend(payload);
        bytes.resize(bytes.len() + self.padding, 0);
        bytes
    }
}

impl Ip {
    fn header(&self, payload: usize) -> Vec<u8> {
        let number = |length: usize| u16::try_from(length).unwrap();
        match (self.source, self.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let length = self.length.unwrap_or(number(payload));
                let class = u32::from(self.version) << 28 | u32::from(self.class) << 20;
                let mut header = class.to_be_bytes().to_vec();
                header.extend(length.to_be_bytes());
                header.extend([self.protocol, self.hops]);
                header.extend([source.octets(), destination.octets()].concat());
                header
            }
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let size = 20 + self.options;
                let words = self
                    .header_length
                    .unwrap_or(u8::try_from(size / 4).unwrap());
                let length = self.length.unwrap_or(number(size + payload));
                let mut header = vec![self.version << 4 | words, self.class];
                header.extend(length.to_be_bytes());
                header.extend([0, 0]);
                header.extend(self.fragment.to_be_bytes());
                header.extend([self.hops, self.protocol, 0, 0]);
                header.extend([source.octets(), destination.octets()].concat());
                header.resize(size, 1);
                let sum = checksum(&header).to_be_bytes();
                header[10..12].copy_from_slice(&sum);
                header
            }
            _ => panic!("both ends are of one family"),
        }
    }
}

impl Payload {
    fn bytes(&self, ip: &Ip) -> Vec<u8> {
        match self {
            Self::Tcp {
                source,
                destination,
                flags,
                sequence,
                offset,
                data,
            } => {
                let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
                bytes.extend(sequence.to_be_bytes());
                bytes.extend([0, 0, 0, 2, offset << 4, *flags, 1, 0, 0, 0, 0, 0]);
                bytes.extend(data);
                bytes
            }
            Self::Udp {
                source,
                destination,
                length,
                data,
            } => {
                let length = length.unwrap_or(u16::try_from(8 + data.len()).unwrap());
                let mut bytes = [
                    source.to_be_bytes(),
                    destination.to_be_bytes(),
                    length.to_be_bytes(),
                ]
                .concat();
                bytes.extend([0, 0]);
                bytes.extend(data);
                bytes
            }
            Self::Icmp { kind, quoted } => {
                let mut bytes = vec![*kind, 0, 0, 0, 0, 0, 5, 0];
                bytes.extend(quoted);
                let mut summed = bytes.clone();
                if let (IpAddr::V6(source), IpAddr::V6(destination)) = (ip.source, ip.destination) {
                    summed.extend([source.octets(), destination.octets()].concat());
                    summed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
                    summed.extend([0, 0, 0, 58]);
                }
                let sum = checksum(&summed).to_be_bytes();
                bytes[2..4].copy_from_slice(&sum);
                bytes
            }
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// RFC 1071; 0 over what holds its own.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        let low = word.get(1).copied().unwrap_or(0);
        u32::from(word[0]) << 8 | u32::from(low)
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
