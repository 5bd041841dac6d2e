//! Header blocks to field lines (RFC 7541 sections 3 and 6).

use super::table::{Dynamic, STATIC};
use super::{Malformed, TABLE_SIZE, huffman};

/// One connection's decoder. Its memory is bounded by the dynamic table and the longest string of
/// a block; blocks must come in the order they were sent, each whole.
#[derive(Debug)]
pub struct Decoder {
    table: Dynamic,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// A decoder with an empty table of [`TABLE_SIZE`].
    pub fn new() -> Self {
        Self {
            table: Dynamic::new(TABLE_SIZE),
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Decodes a block; `field` gets each name and value in order. Work and memory of one call are
    /// linear in the block's length, apart from what `field` does with long values that come from
    /// the table again and again.
    ///
    /// # Errors
    /// [`Malformed`]: then the decoder must not be used any more.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Malformed> {
        let mut rest = block;
        let mut fields = false;
        while let Some(first) = rest.first() {
            match first {
                0x80.. => {
                    let index = integer(&mut rest, 7)?;
                    let (name, value) = lookup(&self.table, index)?;
                    field(name, value);
                }
                0x40.. => self.literal(&mut rest, 6, true, &mut field)?,
                // A change of the table's size comes before all fields (RFC 7541 4.2).
                0x20.. if fields => return Err(Malformed),
                0x20.. => {
                    let size = integer(&mut rest, 5)?;
                    if size > TABLE_SIZE {
                        return Err(Malformed);
                    }
                    self.table.resize(size);
                    continue;
                }
                _ => self.literal(&mut rest, 4, false, &mut field)?,
            }
            fields = true;
        }
        // Rarely are strings this long; they are not worth keeping memory for.
        self.name.shrink_to(TABLE_SIZE);
        self.value.shrink_to(TABLE_SIZE);
        Ok(())
    }

    fn literal(
        &mut self,
        rest: &mut &[u8],
        prefix: u8,
        enter: bool,
        field: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Malformed> {
        let Self { table, name, value } = self;
        let index = integer(rest, prefix)?;
        let given = match index {
            0 => Some(string(rest, name)?),
            _ => None,
        };
        let value = string(rest, value)?;
        match given {
            Some(name) => {
                field(name, value);
                if enter {
                    table.insert(name, value);
                }
            }
            None => {
                let (found, _) = lookup(table, index)?;
                field(found, value);
                if enter {
                    // The entry that gives the name may have to go to make room.
                    name.clear();
                    name.extend_from_slice(found);
                    table.insert(name, value);
                }
            }
        }
        Ok(())
    }
}

fn lookup(table: &Dynamic, index: usize) -> Result<(&[u8], &[u8]), Malformed> {
    match STATIC.get(index.wrapping_sub(1)) {
        Some(entry) => Ok(*entry),
        None if index == 0 => Err(Malformed),
        None => table.get(index - STATIC.len() - 1).ok_or(Malformed),
    }
}

/// An integer with a prefix of so many bits (RFC 7541 5.1); below 2^28, which no length or index
/// that is meant in earnest comes near.
fn integer(rest: &mut &[u8], prefix: u8) -> Result<usize, Malformed> {
    let (first, mut tail) = rest.split_first().ok_or(Malformed)?;
    let mask = 0xff >> (8 - prefix);
    let mut value = usize::from(first & mask);
    if value == usize::from(mask) {
        let mut shift = 0;
        loop {
            let (byte, more) = tail.split_first().ok_or(Malformed)?;
            tail = more;
            if shift > 21 {
                return Err(Malformed);
            }
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = tail;
    Ok(value)
}

/// A string literal (RFC 7541 5.2): as it lies in the block, or decoded into `space`.
fn string<'s, 'b: 's>(rest: &mut &'b [u8], space: &'s mut Vec<u8>) -> Result<&'s [u8], Malformed> {
    let is_coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let (string, tail) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = tail;
    if !is_coded {
        return Ok(string);
    }
    space.clear();
    huffman::decode(string, space)?;
    Ok(space)
}
