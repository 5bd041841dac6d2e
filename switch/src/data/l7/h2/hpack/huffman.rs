//! The Huffman code of RFC 7541 Appendix B. It is canonical, so the lengths alone define it. Decoding
//! walks a table of states by half bytes: as no code is shorter than five bits, half a byte never
//! ends more than one symbol.

use super::Malformed;

/// Bits of each symbol's code; the last is the end-of-string mark, which never stands in a string.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const SYMBOLS: usize = 257;
const END_OF_STRING: usize = SYMBOLS - 1;
/// Inner nodes of the code's tree.
const STATES: usize = SYMBOLS - 1;

/// What half a byte does in a state.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    /// The symbol that it ends, if [`EMITS`] is set.
    symbol: u8,
    marks: u8,
}

/// A symbol ends here.
const EMITS: u8 = 1;
/// The string may end here: what is left are at most seven bits of padding, all ones.
const MAY_END: u8 = 2;
/// The end-of-string mark was found in the string.
const FAILS: u8 = 4;

static STEPS: [[Step; 16]; STATES] = steps();

/// Appends the decoded string to `out`.
///
/// # Errors
/// [`Malformed`] when the padding is not what RFC 7541 5.2 asks for.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    // The shortest code has five bits.
    out.reserve(coded.len() * 8 / 5 + 1);
    let mut state = 0u8;
    let mut marks = MAY_END;
    for byte in coded {
        for half in [byte >> 4, byte & 15] {
            let step = STEPS[usize::from(state)][usize::from(half)];
            if step.marks & EMITS != 0 {
                out.push(step.symbol);
            }
            if step.marks & FAILS != 0 {
                return Err(Malformed);
            }
            state = step.next;
            marks = step.marks;
        }
    }
    if marks & MAY_END == 0 {
        return Err(Malformed);
    }
    Ok(())
}

/// The codes, from the lengths: in order of length, then of symbol.
const fn codes() -> [u32; SYMBOLS] {
    let mut codes = [0; SYMBOLS];
    let (mut code, mut length) = (0u32, 1);
    while length <= 30 {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] == length {
                codes[symbol] = code;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    codes
}

/// The code's tree: each inner node's two children. Leaves are marked by [`LEAF`].
const fn tree() -> [[u16; 2]; STATES] {
    let codes = codes();
    let mut nodes = [[0u16; 2]; STATES];
    let (mut symbol, mut count) = (0, 1u16);
    while symbol < SYMBOLS {
        let (mut node, mut bit) = (0usize, LENGTHS[symbol]);
        while bit > 1 {
            bit -= 1;
            let side = ((codes[symbol] >> bit) & 1) as usize;
            if nodes[node][side] == 0 {
                nodes[node][side] = count;
                count += 1;
            }
            node = nodes[node][side] as usize;
        }
        nodes[node][(codes[symbol] & 1) as usize] = LEAF | symbol as u16;
        symbol += 1;
    }
    nodes
}

const LEAF: u16 = 0x8000;

/// How many ones in a row lead from the root to each node; 8 for every other node.
const fn padding(nodes: &[[u16; 2]; STATES]) -> [u8; STATES] {
    let mut depths = [8u8; STATES];
    let (mut node, mut depth) = (0usize, 0);
    while depth < 8 {
        depths[node] = depth;
        node = nodes[node][1] as usize;
        depth += 1;
    }
    depths
}

const fn steps() -> [[Step; 16]; STATES] {
    let nodes = tree();
    let padding = padding(&nodes);
    let none = Step {
        next: 0,
        symbol: 0,
        marks: 0,
    };
    let mut steps = [[none; 16]; STATES];
    let mut state = 0;
    while state < STATES {
        let mut half = 0;
        while half < 16 {
            steps[state][half] = step(&nodes, &padding, state, half);
            half += 1;
        }
        state += 1;
    }
    steps
}

const fn step(
    nodes: &[[u16; 2]; STATES],
    padding: &[u8; STATES],
    state: usize,
    half: usize,
) -> Step {
    let (mut node, mut symbol, mut marks, mut bit) = (state, 0, 0, 4);
    while bit > 0 {
        bit -= 1;
        let child = nodes[node][(half >> bit) & 1];
        if child & LEAF == 0 {
            node = child as usize;
            continue;
        }
        let found = (child & !LEAF) as usize;
        if found == END_OF_STRING {
            marks |= FAILS;
        }
        symbol = found as u8;
        marks |= EMITS;
        node = 0;
    }
    if padding[node] < 8 {
        marks |= MAY_END;
    }
    Step {
        next: node as u8,
        symbol,
        marks,
    }
}

/// Appends the coded string to `out`.
#[cfg(test)]
pub fn encode(plain: &[u8], out: &mut Vec<u8>) {
    let codes = codes();
    let (mut bits, mut held) = (0u64, 0);
    for byte in plain {
        let symbol = usize::from(*byte);
        bits = bits << LENGTHS[symbol] | u64::from(codes[symbol]);
        held += LENGTHS[symbol];
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held > 0 {
        out.push((bits << (8 - held)) as u8 | (0xff >> held));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn the_codes_are_those_of_the_appendix() {
        let codes = codes();
        let known = [
            (0, 0x1ff8),
            (48, 0x0),
            (122, 0x7b),
            (255, 0x3ffffee),
            (256, 0x3fffffff),
        ];
        for (symbol, code) in known {
            assert_eq!(codes[symbol], code);
        }
    }

    #[test]
    fn the_end_of_string_mark_may_not_stand_in_a_string() {
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(Malformed));
    }

    #[test]
    fn padding_is_shorter_than_a_byte_and_all_ones() {
        // `0` is coded as 00000.
        assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), Err(Malformed));
        assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(Malformed));
        assert_eq!(decoded(&[0xff]), Err(Malformed));
        assert_eq!(decoded(&[]), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn every_string_comes_back_as_it_was(plain: Vec<u8>) {
            let mut coded = Vec::new();
            encode(&plain, &mut coded);
            prop_assert_eq!(decoded(&coded), Ok(plain));
        }

        #[test]
        fn what_is_accepted_is_coded_in_one_way_only(coded: Vec<u8>) {
            if let Ok(plain) = decoded(&coded) {
                let mut again = Vec::new();
                encode(&plain, &mut again);
                prop_assert_eq!(again, coded);
            }
        }
    }
}
