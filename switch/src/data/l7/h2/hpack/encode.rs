//! Field lines to header blocks (RFC 7541 section 6). What the static table has is referred to; all
//! else goes as it is: entering it in a dynamic table, or coding it, costs more time here than the
//! bytes that it saves are worth between machines that carry bodies.

/// Appends the response's status.
pub fn status(out: &mut Vec<u8>, status: u16) {
    let index = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let digit = |n: u16| b'0' + (n % 10) as u8;
            let digits = [digit(status / 100), digit(status / 10), digit(status)];
            // Name of entry 8, not entered.
            out.extend_from_slice(&[0x08, 3]);
            out.extend_from_slice(&digits);
            return;
        }
    };
    out.push(0x80 | index);
}

/// Appends a field; its name goes in lower case (RFC 9113 8.2).
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match name_index(name) {
        Some(index) => integer(out, flags(index), 4, usize::from(index)),
        None => {
            out.push(0);
            integer(out, 0, 7, name.len());
            let start = out.len();
            out.extend_from_slice(name);
            out[start..].make_ascii_lowercase();
        }
    }
    integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// Appends the promise to enter nothing in the peer's table (RFC 7541 4.2).
pub fn no_dynamic_table(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// Cookies must not be entered in any table on their way (RFC 7541 7.1.3).
fn flags(index: u8) -> u8 {
    if index == SET_COOKIE { 0x10 } else { 0 }
}

const SET_COOKIE: u8 = 55;

fn integer(out: &mut Vec<u8>, flags: u8, prefix: u8, value: usize) {
    let most = (1usize << prefix) - 1;
    if value < most {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | most as u8);
    let mut left = value - most;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

macro_rules! names {
    ($($len:literal => { $($index:literal $name:literal;)* })*) => {
        /// The static table's index of a name that responses have, whatever its case.
        fn name_index(name: &[u8]) -> Option<u8> {
            match name.len() {
                $($len => {
                    $(if name.eq_ignore_ascii_case($name) { return Some($index); })*
                    None
                })*
                _ => None,
            }
        }

        #[cfg(test)]
        const NAMES: &[(u8, &[u8])] = &[$($(($index, $name),)*)*];
    };
}

names! {
    3 => { 21 b"age"; 60 b"via"; }
    4 => { 33 b"date"; 34 b"etag"; 59 b"vary"; 45 b"link"; }
    5 => { 22 b"allow"; }
    6 => { 54 b"server"; }
    7 => { 36 b"expires"; 52 b"refresh"; }
    8 => { 46 b"location"; }
    10 => { 55 b"set-cookie"; }
    11 => { 53 b"retry-after"; }
    12 => { 31 b"content-type"; }
    13 => { 44 b"last-modified"; 24 b"cache-control"; 18 b"accept-ranges"; 30 b"content-range"; }
    14 => { 28 b"content-length"; }
    16 => { 26 b"content-encoding"; 27 b"content-language"; 29 b"content-location";
            61 b"www-authenticate"; }
    18 => { 48 b"proxy-authenticate"; }
    19 => { 25 b"content-disposition"; }
    25 => { 56 b"strict-transport-security"; }
    27 => { 20 b"access-control-allow-origin"; }
}

#[cfg(test)]
mod tests {
    use super::super::table::STATIC;
    use super::*;

    #[test]
    fn the_indices_of_names_are_those_of_the_static_table() {
        for (index, name) in NAMES {
            assert_eq!(STATIC[usize::from(*index) - 1].0, *name);
            assert_eq!(name_index(&name.to_ascii_uppercase()), Some(*index));
        }
    }

    #[test]
    fn integers_are_those_of_the_examples() {
        // RFC 7541 C.1.
        for (prefix, value, coded) in [
            (5, 10, &[10][..]),
            (5, 1337, &[31, 154, 10]),
            (8, 42, &[42]),
        ] {
            let mut out = Vec::new();
            integer(&mut out, 0, prefix, value);
            assert_eq!(out, coded);
        }
    }
}
