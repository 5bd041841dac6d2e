//! Random numbers for jitter: seeded, so that a run can be replayed.

use std::time::Duration;

/// A generator after Steele, Lea and Flood, "Fast splittable pseudorandom number generators"
/// (OOPSLA 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that differs from process to process.
    pub fn process_seed() -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos() as u64);
        Self::new(nanos ^ (u64::from(std::process::id()) << 40)).next_u64()
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0.0 up to, not including, 1.0.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The duration, changed by up to half of `share` either way.
    pub fn jittered(&mut self, duration: Duration, share: f64) -> Duration {
        let share = share.clamp(0.0, 1.0);
        duration.mul_f64(1.0 - share / 2.0 + share * self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share() {
        let mut random = SplitMix::new(7);
        for _ in 0..10_000 {
            let got = random.jittered(Duration::from_secs(1), 0.2);
            assert!((0.9..1.1).contains(&got.as_secs_f64()), "{got:?}");
        }
    }

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let (mut a, mut b) = (SplitMix::new(1), SplitMix::new(1));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }
}
