//! Attributes: kind, length, value, padded to four bytes.

use netlink_packet_core::NlasIterator;

/// In the kind of an attribute that holds others (NLA_F_NESTED).
const NESTED: u16 = 1 << 15;

/// Kind and value of each; what is no attribute ends them.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut at = 0;
    NlasIterator::new(bytes).map_while(move |attribute| {
        let attribute = attribute.ok()?;
        let length = usize::from(attribute.length());
        let value = bytes.get(at + 4..at + length)?;
        at += length.next_multiple_of(4);
        Some((attribute.kind(), value))
    })
}

/// Appends one, whose value has 65,531 bytes at most.
pub fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("values are short");
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends one that holds these.
pub fn put_nested(out: &mut Vec<u8>, kind: u16, inside: &[u8]) {
    put(out, kind | NESTED, inside);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_read_and_no_bytes_panic(
            attributes in proptest::collection::vec((0u16..100, proptest::collection::vec(any::<u8>(), 0..40)), 0..9),
            noise in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut bytes = vec![];
            for (kind, value) in &attributes {
                put(&mut bytes, *kind, value);
            }
            let got: Vec<_> = read(&bytes).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(got, attributes);
            let _ = read(&noise).count();
        }
    }
}
