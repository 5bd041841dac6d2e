//! The one hash that keys and backends are placed by. It must never change and never depend on the
//! process: two switches of a cluster, or one switch before and after an upgrade, have to send the
//! same key to the same backend.

/// The stable hash of a request key (an address, a path, the value of a cookie): FNV-1a with 64
/// bits, its result spread by [`mix`].
///
/// It is no defence against chosen keys: who chooses keys chooses backends anyway.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let fnv = bytes.iter().fold(OFFSET_BASIS, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    mix(fnv)
}

/// One step of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// OOPSLA 2014): a bijection in which every input bit reaches every output bit.
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Maps random bits to `0..bound` without division (Lemire: "Fast random integer generation in an
/// interval", 2019). `bound` must not exceed 2^32; 0 gives 0.
pub(super) fn scale(bits: u32, bound: u64) -> u64 {
    (u64::from(bits) * bound) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_never_changes() {
        assert_eq!(hash_bytes(b""), mix(0xcbf2_9ce4_8422_2325));
        // FNV-1a of "a" and "foobar" as published with the algorithm.
        assert_eq!(hash_bytes(b"a"), mix(0xaf63_dc4c_8601_ec8c));
        assert_eq!(hash_bytes(b"foobar"), mix(0x8594_4171_f739_67e8));
    }

    #[test]
    fn mixing_gives_the_published_sequence() {
        // splitmix64 with seed 0.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn scaled_bits_stay_below_the_bound() {
        assert_eq!(scale(u32::MAX, 3), 2);
        assert_eq!(scale(0, 3), 0);
        assert_eq!(scale(u32::MAX, 1), 0);
    }
}
