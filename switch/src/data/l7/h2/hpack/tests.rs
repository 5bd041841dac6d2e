//! The examples of RFC 7541 Appendix C, and what must hold for all blocks.

use proptest::prelude::*;

use super::*;

type Line = (Vec<u8>, Vec<u8>);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    });
    pairs.collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Line>, Malformed> {
    let mut lines = Vec::new();
    decoder.decode(block, |name, value| {
        lines.push((name.to_vec(), value.to_vec()));
    })?;
    Ok(lines)
}

fn text(lines: &[Line]) -> String {
    let line = |(name, value): &Line| {
        let name = String::from_utf8_lossy(name);
        format!("{name}={}", String::from_utf8_lossy(value))
    };
    lines.iter().map(line).collect::<Vec<_>>().join(" | ")
}

fn check(blocks: &[(&str, &str)]) {
    let mut decoder = Decoder::new();
    for (block, expected) in blocks {
        let lines = decode(&mut decoder, &bytes(block)).unwrap();
        assert_eq!(text(&lines), *expected);
    }
}

#[test]
fn literals_are_decoded() {
    check(&[(
        "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        "custom-key=custom-header",
    )]);
    check(&[("040c 2f73 616d 706c 652f 7061 7468", ":path=/sample/path")]);
    check(&[(
        "1008 7061 7373 776f 7264 0673 6563 7265 74",
        "password=secret",
    )]);
    check(&[("82", ":method=GET")]);
}

const REQUESTS: [&str; 3] = [
    ":method=GET | :scheme=http | :path=/ | :authority=www.example.com",
    ":method=GET | :scheme=http | :path=/ | :authority=www.example.com | cache-control=no-cache",
    ":method=GET | :scheme=https | :path=/index.html | :authority=www.example.com | \
     custom-key=custom-value",
];

#[test]
fn requests_on_one_connection_share_the_table() {
    check(&[
        (
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            REQUESTS[0],
        ),
        ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1]),
        (
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            REQUESTS[2],
        ),
    ]);
}

#[test]
fn requests_with_huffman_coding_are_the_same() {
    check(&[
        ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0]),
        ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1]),
        (
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            REQUESTS[2],
        ),
    ]);
}

#[test]
fn a_small_table_forgets_the_oldest_entries() {
    // RFC 7541 C.6, with the table of 256 bytes set by the first block.
    let first = ":status=302 | cache-control=private | date=Mon, 21 Oct 2013 20:13:21 GMT | \
                 location=https://www.example.com";
    check(&[
        (
            "3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 \
             82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            first,
        ),
        ("4883 640e ffc1 c0bf", &first.replace("302", "307")),
        (
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad \
             94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 \
             65c0 03ed 4ee5 b106 3d50 07",
            ":status=200 | cache-control=private | date=Mon, 21 Oct 2013 20:13:22 GMT | \
             location=https://www.example.com | content-encoding=gzip | \
             set-cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ),
    ]);
}

#[test]
fn what_breaks_the_format_is_malformed() {
    let cases = [
        ("80", "index 0"),
        ("be", "an index beyond the tables"),
        ("ff80 8080 8080 01", "an index of too many bytes"),
        ("400a 6375", "a name cut short"),
        ("4001 61", "no value"),
        ("3fe2 1f", "a table larger than allowed"),
        ("82 20", "a change of the table behind a field"),
        ("4081 ff01 61", "padding of eight bits"),
        ("4081 0001 61", "padding of zeros"),
        ("4084 ffff ffff 0161", "the end-of-string mark"),
        ("7f", "an integer cut short"),
    ];
    for (block, case) in cases {
        let outcome = decode(&mut Decoder::new(), &bytes(block));
        assert_eq!(outcome, Err(Malformed), "{case}");
    }
}

#[test]
fn the_table_may_change_its_size_twice_before_the_first_field() {
    check(&[("20 3fe1 1f 82", ":method=GET")]);
}

#[test]
fn a_name_is_still_known_when_its_entry_goes_to_make_room() {
    let mut decoder = Decoder::new();
    let long = vec![b'v'; 4000];
    let mut block = vec![0x40, 1, b'n', 1, b'1', 0x40 | 62];
    // The value's length with a prefix of seven bits.
    block.extend_from_slice(&[
        0x7f,
        (4000 - 127) as u8 & 0x7f | 0x80,
        ((4000 - 127) >> 7) as u8,
    ]);
    block.extend_from_slice(&long);
    block.push(0x80 | 62);
    let lines = decode(&mut decoder, &block).unwrap();
    assert_eq!(lines[1], (b"n".to_vec(), long.clone()));
    assert_eq!(lines[2], lines[1]);
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z0-9-]{1,40}".prop_map(String::into_bytes),
        Just(b"server".to_vec()),
        Just(b"set-cookie".to_vec()),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_alike(
        lines: Vec<(u16, Vec<u8>)>,
        names in proptest::collection::vec(name(), 0..20),
        status in 100u16..1000,
    ) {
        let mut block = Vec::new();
        no_dynamic_table(&mut block);
        super::status(&mut block, status);
        let mut expected = vec![(b":status".to_vec(), status.to_string().into_bytes())];
        for (name, (_, value)) in names.into_iter().zip(lines) {
            field(&mut block, &name.to_ascii_uppercase(), &value);
            expected.push((name, value));
        }
        prop_assert_eq!(decode(&mut Decoder::new(), &block), Ok(expected));
    }

    #[test]
    fn garbage_does_no_harm(blocks in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let mut decoder = Decoder::new();
        for block in blocks {
            let mut fields = 0;
            let decoded = decoder.decode(&block, |_, _| fields += 1);
            prop_assert!(fields <= block.len());
            if decoded.is_err() {
                break;
            }
        }
    }
}
