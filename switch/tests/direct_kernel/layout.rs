//! Both sides mean the same by what lies in the maps.

use std::collections::BTreeMap;

use pointsman::control::direct::kernel::layout::{MEMBERS, SIZES};

static OBJECT: &[u8] = include_bytes!("../../bpf/direct.bpf.o");

#[test]
fn rust_lays_everything_out_as_the_object_does() {
    let structures = structures(&section(OBJECT, ".BTF"));
    for (name, size) in SIZES {
        let found = structures.get(*name).map(|found| found.size);
        assert_eq!(found, Some(*size), "struct {name}");
    }
    for (name, member, offset) in MEMBERS {
        let found = structures[*name].members.get(*member);
        assert_eq!(found, Some(offset), "{member} of struct {name}");
    }
}

#[derive(Debug)]
struct Structure {
    size: usize,
    /// With their offsets in bytes.
    members: BTreeMap<String, usize>,
}

/// A section of an object of 64 bits.
fn section(object: &[u8], wanted: &str) -> Vec<u8> {
    let number = |at: usize, size: usize| number(object, at, size);
    let (headers, count) = (number(0x28, 8), number(0x3c, 2));
    let names = headers + 64 * number(0x3e, 2);
    let names = number(names + 0x18, 8);
    for header in (0..count).map(|place| headers + 64 * place) {
        if text(object, names + number(header, 4)) == wanted {
            let (at, size) = (number(header + 0x18, 8), number(header + 0x20, 8));
            return object[at..at + size].to_vec();
        }
    }
    panic!("the object has no section {wanted}")
}

/// The structures of BTF (Documentation/bpf/btf.rst of the kernel).
fn structures(btf: &[u8]) -> BTreeMap<String, Structure> {
    let number = |at: usize| number(btf, at, 4);
    let start = number(4);
    let (mut at, end) = (start + number(8), start + number(8) + number(12));
    let strings = start + number(16);
    let mut found = BTreeMap::new();
    while at < end {
        let (name, info, size) = (number(at), number(at + 4), number(at + 8));
        let (kind, count) = (info >> 24 & 0x1f, info & 0xffff);
        at += 12;
        if kind == STRUCT {
            let members = (0..count).map(|place| at + 12 * place);
            let members = members.map(|member| {
                let offset = number(member + 8) & 0x00ff_ffff;
                (text(btf, strings + number(member)), offset / 8)
            });
            let members = members.collect();
            found.insert(text(btf, strings + name), Structure { size, members });
        }
        at += behind(kind, count);
    }
    found
}

const STRUCT: usize = 4;

/// Bytes that follow a type of this kind.
fn behind(kind: usize, count: usize) -> usize {
    match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        STRUCT | 5 | 15 | 19 => 12 * count,
        6 | 13 => 8 * count,
        _ => 0,
    }
}

fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    let mut all = [0; 8];
    all[..size].copy_from_slice(&bytes[at..at + size]);
    usize::from_le_bytes(all)
}

fn text(bytes: &[u8], at: usize) -> String {
    let text = bytes[at..].split(|byte| *byte == 0).next().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}
