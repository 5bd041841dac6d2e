//! What the fuzzer of `fuzz/` and the test over its corpus drive. Not part of the interface;
//! compiled for tests and with the feature `fuzzing` alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::advert::{HEAD, MAX_ADDRESSES, MAX_INTERVAL};
use super::checksum::Sum;
use super::ipv4::Header;
use super::{Advert, Discard, GROUP_V4, GROUP_V6, PROTOCOL};

const V4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0xa);

/// Bytes as an advert of either family, and as a packet with its header in front: what is taken is
/// plain and can be written and read again.
///
/// # Panics
/// It is not so.
pub fn vrrp_advert(bytes: &[u8]) {
    if let Some(header) = Header::parse(bytes) {
        let (source, destination) = (header.source.into(), header.destination.into());
        advert(&bytes[header.length..], source, destination);
    }
    let ends: [(IpAddr, IpAddr); 3] = [
        (V4.into(), GROUP_V4.into()),
        (V4.into(), Ipv4Addr::new(10, 9, 0, 2).into()),
        (V6.into(), GROUP_V6.into()),
    ];
    for (source, destination) in ends {
        advert(bytes, source, destination);
        if let Some(mended) = mended(bytes, source, destination) {
            advert(&mended, source, destination);
        }
    }
}

fn advert(bytes: &[u8], source: IpAddr, destination: IpAddr) {
    let strict = Advert::decode(bytes, source, destination, false);
    let read = Advert::decode(bytes, source, destination, true);
    let Ok((advert, checksum)) = read else {
        return assert_eq!(strict, read);
    };
    match strict {
        Ok((same, _)) => assert_eq!(same, advert),
        Err(reason) => assert_eq!(reason, Discard::Checksum),
    }
    assert_ne!(advert.group, 0);
    assert!((Duration::from_millis(10)..=MAX_INTERVAL).contains(&advert.interval));
    assert!((1..=MAX_ADDRESSES).contains(&advert.addresses.len()));
    let family = source.is_ipv4();
    assert!(advert.addresses.iter().all(|ip| ip.is_ipv4() == family));
    let written = advert.encode(checksum, source, destination);
    assert_eq!(written.len(), bytes.len());
    assert_eq!(written[HEAD..], bytes[HEAD..]);
    let again = Advert::decode(&written, source, destination, false);
    assert_eq!(again.map(|(again, _)| again), Ok(advert));
    let longer = [bytes, &[0; 4]].concat();
    for other in [&bytes[..bytes.len() - 1], &longer] {
        let read = Advert::decode(other, source, destination, true);
        assert_eq!(read, Err(Discard::Length));
    }
}

/// With the right checksum, so that what is behind it is reached.
fn mended(bytes: &[u8], source: IpAddr, destination: IpAddr) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    bytes.get_mut(6..HEAD)?.fill(0);
    let sum = Sum::of_pseudo_header(source, destination, PROTOCOL, bytes.len());
    let checksum = sum.bytes(&bytes).checksum();
    bytes[6..HEAD].copy_from_slice(&checksum.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn adverts_that_nobody_meant_are_plain_or_refused(
            head in any::<[u8; 7]>(),
            count in 0..6u8,
            size in prop_oneof![Just(4), Just(16), 0..20usize],
            rest in vec(any::<u8>(), 120),
        ) {
            let [group, priority, high, low, ..] = head;
            let mut bytes = vec![0x31, group, priority, count, high, low, head[5], head[6]];
            bytes.extend(&rest[..usize::from(count) * size]);
            vrrp_advert(&bytes);
        }
    }

    /// The name of the seed that is run is the last line of output when one fails.
    #[test]
    #[expect(clippy::print_stdout, reason = "shown when the test fails alone")]
    fn adverts_of_the_corpus_are_plain_or_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/vrrp_advert");
        let mut count = 0;
        for seed in std::fs::read_dir(folder).expect("the corpus is there") {
            let path = seed.expect("it is readable").path();
            println!("{}", path.display());
            vrrp_advert(&std::fs::read(path).expect("readable"));
            count += 1;
        }
        assert!(count >= 10, "the corpus is too small");
    }
}
