use proptest::collection::vec;
use proptest::prelude::*;

use super::super::GROUP_V6;
use super::*;

/// As keepalived 2.2.7 sent it from 10.9.0.1 to 224.0.0.18.
const V4_MULTICAST: [u8; 12] = [
    0x31, 0x33, 0x96, 0x01, 0x00, 0x0a, 0x43, 0xbb, 10, 9, 0, 100,
];
/// As keepalived 2.2.7 sent it from 10.9.0.1 to 10.9.0.2.
const V4_UNICAST: [u8; 16] = [
    0x31, 0x34, 0x96, 0x02, 0x00, 0x0a, 0x0f, 0x4d, 10, 9, 0, 101, 10, 9, 0, 102,
];
/// As keepalived 2.2.7 sent it from fe80::ff:fe00:a to ff02::12.
const V6: [u8; 40] = [
    0x31, 0x35, 0x96, 0x02, 0x00, 0x0a, 0x3d, 0xfb, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x01, 0x00, 0xfd, 0x00, 0x00, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00,
];
/// The last one of keepalived 2.2.7 before it ended.
const V4_FAREWELL: [u8; 12] = [
    0x31, 0x33, 0x00, 0x01, 0x00, 0x0a, 0xd9, 0xbb, 10, 9, 0, 100,
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn captured(group: u8, priority: u8, addresses: &[&str]) -> Advert {
    Advert {
        group,
        priority,
        interval: Duration::from_millis(100),
        addresses: addresses.iter().map(|text| ip(text)).collect(),
    }
}

#[test]
fn adverts_of_keepalived_are_read_and_written_byte_by_byte() {
    let multicast = IpAddr::from(GROUP_V4);
    let cases: [(&[u8], Advert, &str, IpAddr); 4] = [
        (
            &V4_MULTICAST,
            captured(51, 150, &["10.9.0.100"]),
            "10.9.0.1",
            multicast,
        ),
        (
            &V4_UNICAST,
            captured(52, 150, &["10.9.0.101", "10.9.0.102"]),
            "10.9.0.1",
            ip("10.9.0.2"),
        ),
        (
            &V6,
            captured(53, 150, &["fe80::100", "fd00:9::100"]),
            "fe80::ff:fe00:a",
            GROUP_V6.into(),
        ),
        (
            &V4_FAREWELL,
            captured(51, 0, &["10.9.0.100"]),
            "10.9.0.1",
            multicast,
        ),
    ];
    for (bytes, advert, source, destination) in cases {
        let source = ip(source);
        let read = Advert::decode(bytes, source, destination, false);
        assert_eq!(read, Ok((advert.clone(), Checksum::PseudoHeader)));
        let written = advert.encode(Checksum::PseudoHeader, source, destination);
        assert_eq!(written, bytes);
    }
}

#[test]
fn a_plain_checksum_covers_the_advert_alone() {
    let (source, destination) = (ip("10.9.0.1"), IpAddr::from(GROUP_V4));
    let advert = captured(51, 150, &["10.9.0.100"]);
    let bytes = advert.encode(Checksum::Plain, source, destination);
    // 0x3133 + 0x9601 + 0x000a + 0x0a09 + 0x0064 = 0xd1ab
    assert_eq!(bytes[6..8], (!0xd1abu16).to_be_bytes());
    let read = Advert::decode(&bytes, source, destination, false);
    assert_eq!(read, Ok((advert, Checksum::Plain)));
}

#[test]
fn with_the_fallback_a_unicast_advert_may_be_over_the_multicast_group() {
    let (source, destination) = (ip("10.9.0.1"), ip("10.9.0.2"));
    let advert = captured(51, 150, &["10.9.0.100"]);
    let bytes = advert.encode(Checksum::PseudoHeader, source, GROUP_V4.into());
    let decode = |fallback| Advert::decode(&bytes, source, destination, fallback);
    assert_eq!(decode(true), Ok((advert, Checksum::PseudoHeader)));
    assert_eq!(decode(false), Err(Discard::Checksum));
}

#[test]
fn an_advert_of_ipv6_without_its_addresses_in_the_checksum_is_refused() {
    let (source, destination) = (ip("fe80::1"), IpAddr::from(GROUP_V6));
    let advert = captured(53, 150, &["fe80::100"]);
    let mut bytes = advert.encode(Checksum::Plain, source, destination);
    assert!(Advert::decode(&bytes, source, destination, true).is_ok());
    bytes[6..8].fill(0);
    let plain = Sum::new().bytes(&bytes).checksum();
    bytes[6..8].copy_from_slice(&plain.to_be_bytes());
    let read = Advert::decode(&bytes, source, destination, true);
    assert_eq!(read, Err(Discard::Checksum));
}

#[test]
fn each_fault_has_its_reason() {
    let (source, destination) = (ip("10.9.0.1"), IpAddr::from(GROUP_V4));
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = V4_MULTICAST.to_vec();
        change(&mut bytes);
        bytes[6..8].fill(0);
        let sum = Sum::new().bytes(&bytes).checksum();
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        Advert::decode(&bytes, source, destination, true).map(|(advert, _)| advert.group)
    };
    assert_eq!(with(|_| ()), Ok(51));
    assert_eq!(with(|bytes| bytes[0] = 0x21), Err(Discard::Version));
    assert_eq!(with(|bytes| bytes[0] = 0x32), Err(Discard::Type));
    assert_eq!(with(|bytes| bytes[1] = 0), Err(Discard::Group));
    assert_eq!(with(|bytes| bytes[3] = 0), Err(Discard::Count));
    assert_eq!(with(|bytes| bytes[3] = 2), Err(Discard::Length));
    assert_eq!(with(|bytes| bytes.extend([0; 4])), Err(Discard::Length));
    assert_eq!(with(|bytes| bytes.truncate(8)), Err(Discard::Length));
    assert_eq!(with(|bytes| bytes[5] = 0), Err(Discard::Interval));
    assert_eq!(with(|bytes| bytes[4] = 0xf0), Ok(51));
    let damaged = Advert::decode(&[0x31; 12], source, destination, true);
    assert_eq!(damaged, Err(Discard::Length));
    assert_eq!(
        Advert::decode(&[], source, destination, true),
        Err(Discard::Length)
    );
}

#[test]
fn what_does_not_fit_on_the_wire_is_left_out() {
    let mut advert = captured(51, 150, &["fe80::1"]);
    advert.addresses.extend(vec![ip("10.9.0.100"); 300]);
    advert.interval = Duration::from_secs(3600);
    let (source, destination) = (ip("10.9.0.1"), ip("10.9.0.2"));
    let bytes = advert.encode(Checksum::Plain, source, destination);
    let (read, _) = Advert::decode(&bytes, source, destination, false).unwrap();
    assert_eq!(read.addresses, vec![ip("10.9.0.100"); MAX_ADDRESSES]);
    assert_eq!(read.interval, MAX_INTERVAL);
    advert.interval = Duration::ZERO;
    let bytes = advert.encode(Checksum::Plain, source, destination);
    let (read, _) = Advert::decode(&bytes, source, destination, false).unwrap();
    assert_eq!(read.interval, Duration::from_millis(10));
}

#[test]
fn no_two_reasons_share_a_word() {
    let words: std::collections::BTreeSet<_> = Discard::ALL.map(Discard::word).into();
    assert_eq!(words.len(), Discard::ALL.len());
}

/// An advert and whom it travels between.
fn travelling() -> impl Strategy<Value = (Advert, IpAddr, IpAddr)> {
    let v4 = || any::<Ipv4Addr>().prop_map(IpAddr::from);
    let v6 = || any::<Ipv6Addr>().prop_map(IpAddr::from);
    let ends = prop_oneof![
        (vec(v4(), 1..=MAX_ADDRESSES), v4(), v4()),
        (vec(v6(), 1..=20), v6(), v6()),
    ];
    (1..=255u8, any::<u8>(), 1..=4095u32, ends).prop_map(|(group, priority, interval, ends)| {
        let (addresses, source, destination) = ends;
        let advert = Advert {
            group,
            priority,
            interval: CENTISECOND * interval,
            addresses,
        };
        (advert, source, destination)
    })
}

fn checksums() -> impl Strategy<Value = Checksum> {
    prop_oneof![Just(Checksum::PseudoHeader), Just(Checksum::Plain)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        (advert, source, destination) in travelling(),
        checksum in checksums(),
    ) {
        let bytes = advert.encode(checksum, source, destination);
        let (read, found) = Advert::decode(&bytes, source, destination, false).unwrap();
        prop_assert_eq!(read, advert);
        let address_sum = Sum::of_pseudo_header(source, destination, PROTOCOL, bytes.len());
        let alike = source.is_ipv6() || address_sum.is_whole();
        prop_assert!(found == checksum || alike);
    }

    /// A bit can make up for the pseudo-header's being left out, and for nothing else.
    #[test]
    fn a_flipped_bit_is_noticed(
        (advert, source, destination) in travelling(),
        checksum in checksums(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = advert.encode(checksum, source, destination);
        let (_, form) = Advert::decode(&bytes, source, destination, false).unwrap();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok((_, found)) = Advert::decode(&bytes, source, destination, false) {
            prop_assert_ne!(found, form);
        }
    }

    #[test]
    fn random_bytes_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..64),
        v4 in any::<[Ipv4Addr; 2]>(),
        v6 in any::<[Ipv6Addr; 2]>(),
        fallback in any::<bool>(),
    ) {
        let _ = Advert::decode(&bytes, v4[0].into(), v4[1].into(), fallback);
        let _ = Advert::decode(&bytes, v6[0].into(), v6[1].into(), fallback);
        let _ = Advert::decode(&bytes, v4[0].into(), v6[0].into(), fallback);
    }
}
