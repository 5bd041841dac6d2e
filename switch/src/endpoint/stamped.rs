//! A number and when it was true, in one word, so that workers read and write both at once.

/// 24 bits of a floating-point number and 40 bits of [`super::clock`], enough for 34 years. A word
/// of zero is the number zero at the beginning of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stamped {
    /// With five digits.
    pub(super) value: f32,
    /// Milliseconds.
    pub(super) at: u64,
}

const TIME: u64 = (1 << 40) - 1;

impl Stamped {
    pub(super) fn unpack(word: u64) -> Self {
        Self {
            value: f32::from_bits((word >> 40 << 8) as u32),
            at: word & TIME,
        }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.value.to_bits() >> 8) << 40 | self.at & TIME
    }

    /// Milliseconds; 0 for what another worker's later clock has stamped.
    pub(super) fn age(self, now: u64) -> u64 {
        now.saturating_sub(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign_and_five_digits() {
        for value in [0.0, -0.0, 1.0, -12345.0, 1e-9, 3e7] {
            let again = Stamped::unpack(Stamped { value, at: 77 }.pack());
            assert_eq!(again.at, 77);
            assert_eq!(again.value.is_sign_negative(), value.is_sign_negative());
            assert!((again.value - value).abs() <= value.abs() * 1e-4);
        }
        assert_eq!(Stamped { value: 0.0, at: 0 }.pack(), 0);
    }
}
