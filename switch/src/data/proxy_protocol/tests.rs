use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn addresses(source: &str, destination: &str) -> Addresses {
    let parse = |text: &str| text.parse().expect("an address");
    Addresses {
        source: parse(source),
        destination: parse(destination),
    }
}

fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("short").to_be_bytes();
    [V2, &[version_command, family], &len, body].concat()
}

fn parsed(bytes: &[u8]) -> Header {
    match decode(bytes) {
        Decoded::Parsed(header) => header,
        other => panic!("{other:?} of {bytes:?}"),
    }
}

#[test]
fn the_lines_of_the_specification_are_read() {
    let line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nGET /";
    let expected = addresses("255.255.255.255:65535", "255.255.255.255:65535");
    assert_eq!(
        parsed(line),
        Header {
            len: 56,
            addresses: Some(expected)
        }
    );
    let line = b"PROXY TCP6 ffff:f:f:f:f:f:f:ffff 2001:db8::1 1 443\r\n";
    let expected = addresses("[ffff:f:f:f:f:f:f:ffff]:1", "[2001:db8::1]:443");
    assert_eq!(
        parsed(line),
        Header {
            len: line.len(),
            addresses: Some(expected)
        }
    );
}

#[test]
fn an_unknown_source_keeps_the_connections_own_addresses() {
    assert_eq!(
        parsed(b"PROXY UNKNOWN\r\n"),
        Header {
            len: 15,
            addresses: None
        }
    );
    let longest = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(
        parsed(longest),
        Header {
            len: 107,
            addresses: None
        }
    );
}

#[test]
fn broken_lines_are_told_apart() {
    for (line, reason) in [
        (&b"GET / HTTP/1.1\r\n"[..], Invalid::NoSignature),
        (b"PROXY\r\n", Invalid::NoSignature),
        (b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Invalid::NoSignature),
        (b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", Invalid::Grammar),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Invalid::Grammar),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Invalid::Grammar),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Invalid::Grammar),
        (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", Invalid::Grammar),
        (b"PROXY TCP4 \xff 1.2.3.4 1 2\r\n", Invalid::Grammar),
        (b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", Invalid::Address),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", Invalid::Address),
        (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", Invalid::Address),
        (b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n", Invalid::Address),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Invalid::Port),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Invalid::Port),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Invalid::Port),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", Invalid::Port),
    ] {
        assert_eq!(
            decode(line),
            Decoded::Invalid(reason),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn a_line_without_an_end_is_given_up_after_107_bytes() {
    let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    assert_eq!(decode(&endless[..106]), Decoded::NeedMore);
    assert_eq!(decode(&endless[..107]), Decoded::Invalid(Invalid::TooLong));
}

#[test]
fn both_families_of_version_2_are_read() {
    let header = v2(
        0x21,
        0x11,
        &[192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 0, 80],
    );
    let expected = addresses("192.0.2.1:8080", "198.51.100.2:80");
    assert_eq!(
        parsed(&header),
        Header {
            len: 28,
            addresses: Some(expected)
        }
    );
    let mut body = [0; 36];
    (body[15], body[31], body[33], body[35]) = (1, 2, 3, 4);
    let expected = addresses("[::1]:3", "[::2]:4");
    assert_eq!(
        parsed(&v2(0x21, 0x21, &body)),
        Header {
            len: 52,
            addresses: Some(expected)
        }
    );
}

#[test]
fn local_unspecified_and_unix_keep_the_connections_own_addresses() {
    for (command, family, body) in [
        (0x20, 0x00, &[][..]),
        (0x20, 0x11, &[1, 2, 3]),
        (0x20, 0xff, &[]),
        (0x21, 0x00, &[1, 2, 3]),
        (0x21, 0x31, &[0; 216]),
        (0x21, 0x10, &[0; 12]),
    ] {
        let header = v2(command, family, body);
        assert_eq!(
            parsed(&header),
            Header {
                len: header.len(),
                addresses: None
            }
        );
    }
}

#[test]
fn broken_headers_of_version_2_are_told_apart() {
    let mut long = v2(0x21, 0x11, &[0; 12]);
    (long[14], long[15]) = (0xff, 0xff);
    for (header, reason) in [
        (v2(0x11, 0x11, &[0; 12]), Invalid::Version),
        (v2(0x22, 0x11, &[0; 12]), Invalid::Command),
        (v2(0x21, 0x41, &[0; 12]), Invalid::Family),
        (v2(0x21, 0x13, &[0; 12]), Invalid::Family),
        (v2(0x21, 0x11, &[0; 11]), Invalid::Length),
        (v2(0x21, 0x21, &[0; 35]), Invalid::Length),
        (v2(0x21, 0x31, &[0; 215]), Invalid::Length),
        (v2(0x21, 0x11, &[0; 13]), Invalid::Tlv),
        (
            v2(0x21, 0x11, &[[0; 12].as_slice(), &[4, 0, 2, 0]].concat()),
            Invalid::Tlv,
        ),
        (long, Invalid::Length),
    ] {
        assert_eq!(decode(&header), Decoded::Invalid(reason), "{header:?}");
    }
}

#[test]
fn additional_fields_are_skipped() {
    let body = [[0; 12].as_slice(), &[4, 0, 2, 0, 0], &[1, 0, 0]].concat();
    assert_eq!(parsed(&v2(0x21, 0x11, &body)).len, 36);
}

#[test]
fn addresses_of_two_families_are_not_sent() {
    let mixed = Addresses {
        source: "192.0.2.1:1".parse().expect("an address"),
        destination: "[::1]:2".parse().expect("an address"),
    };
    assert_eq!(encode_v1(Some(&mixed)), b"PROXY UNKNOWN\r\n");
    assert_eq!(encode_v2(Some(&mixed)), encode_v2(None));
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    let v4 = any::<[([u8; 4], u16); 2]>().prop_map(|both| both.map(SocketAddr::from));
    let v6 = any::<[([u8; 16], u16); 2]>().prop_map(|both| both.map(SocketAddr::from));
    prop_oneof![v4, v6].prop_map(|[source, destination]| Addresses {
        source,
        destination,
    })
}

/// Bytes that come near to a header: sound ones with a few of them changed.
fn nearly_headers() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (
        any_addresses(),
        any::<bool>(),
        changes,
        vec(any::<u8>(), 0..40),
    )
        .prop_map(|(addresses, text, changes, tail)| {
            let mut bytes = if text {
                encode_v1(Some(&addresses))
            } else {
                encode_v2(Some(&addresses))
            };
            for (index, value) in changes {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            bytes.extend(tail);
            bytes
        })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_whatever_follows(
        addresses in any_addresses(),
        tail in vec(any::<u8>(), 0..50),
    ) {
        for header in [encode_v1(Some(&addresses)), encode_v2(Some(&addresses))] {
            let len = header.len();
            let bytes = [header, tail.clone()].concat();
            prop_assert_eq!(parsed(&bytes), Header { len, addresses: Some(addresses) });
        }
    }

    #[test]
    fn every_beginning_of_a_header_needs_more(addresses in any_addresses()) {
        for header in [encode_v1(Some(&addresses)), encode_v2(Some(&addresses))] {
            for end in 0..header.len() {
                prop_assert_eq!(decode(&header[..end]), Decoded::NeedMore);
            }
        }
    }

    #[test]
    fn any_bytes_get_an_answer_that_more_bytes_do_not_change(
        bytes in prop_oneof![vec(any::<u8>(), 0..300), nearly_headers()],
    ) {
        let whole = decode(&bytes);
        if let Decoded::Parsed(header) = whole {
            prop_assert!(header.len <= bytes.len());
        }
        for end in 0..bytes.len() {
            let part = decode(&bytes[..end]);
            prop_assert!(part == Decoded::NeedMore || part == whole, "{end}: {part:?}, {whole:?}");
        }
    }

    #[test]
    fn the_longest_header_is_answered(tail in vec(any::<u8>(), MAX_LEN..MAX_LEN + 1)) {
        for start in [&b"PROXY "[..], V2, &v2(0x21, 0x11, &[])[..14]] {
            let bytes = [start, &tail].concat();
            prop_assert_ne!(decode(&bytes), Decoded::NeedMore);
        }
    }
}
