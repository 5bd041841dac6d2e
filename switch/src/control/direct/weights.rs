//! Weights for a ring. A change of weight moves flows, so that small ones are none: what grows, as in
//! a slow start, does so in ten steps.

/// The largest weight of a ring.
const LARGEST: u64 = 100;
/// The steps of what grows.
const STEP: u64 = 10;

/// What a member takes: its weight, and whether that is changing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Relative to the others; at least 1.
    pub weight: u32,
    /// It is in its slow start.
    pub grows: bool,
}

/// The weights of a ring's members, 1 to 100: as they are where they fit, or in proportion.
pub fn of(parts: &[Part]) -> Vec<u32> {
    let largest = parts.iter().map(|part| part.weight).max().unwrap_or(1);
    let largest = u64::from(largest.max(1));
    let grows = parts.iter().any(|part| part.grows);
    if largest <= LARGEST && !grows {
        let common = parts
            .iter()
            .fold(0, |common, part| divisor(common, part.weight));
        let common = common.max(1);
        return parts
            .iter()
            .map(|part| (part.weight / common).max(1))
            .collect();
    }
    let scaled = |part: &Part| {
        let weight = (u64::from(part.weight) * LARGEST).div_ceil(largest);
        let weight = match part.grows {
            true => weight.next_multiple_of(STEP),
            false => weight,
        };
        weight.clamp(1, LARGEST) as u32
    };
    let scaled: Vec<u32> = parts.iter().map(scaled).collect();
    let common = scaled
        .iter()
        .fold(0, |common, weight| divisor(common, *weight))
        .max(1);
    scaled.iter().map(|weight| weight / common).collect()
}

/// The greatest common one (Euclid).
fn divisor(a: u32, b: u32) -> u32 {
    match b {
        0 => a,
        _ => divisor(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(weights: &[u32]) -> Vec<u32> {
        let part = |weight: &u32| Part {
            weight: *weight,
            grows: false,
        };
        of(&weights.iter().map(part).collect::<Vec<_>>())
    }

    #[test]
    fn equal_proportions_are_equal_weights() {
        let cases: &[(&[u32], &[u32])] = &[
            (&[1, 1, 1], &[1, 1, 1]),
            (&[50, 50], &[1, 1]),
            (&[1, 2, 4], &[1, 2, 4]),
            (&[100_000, 50_000, 50_000], &[2, 1, 1]),
            (&[1000, 1], &[100, 1]),
            (&[], &[]),
        ];
        for (given, expected) in cases {
            assert_eq!(steady(given), *expected, "{given:?}");
        }
    }

    #[test]
    fn a_slow_start_takes_ten_steps_at_most() {
        let mut rings: Vec<Vec<u32>> = Vec::new();
        for share in (100..1000).step_by(7) {
            let parts = [
                Part {
                    weight: 100_000,
                    grows: false,
                },
                Part {
                    weight: share * 100,
                    grows: true,
                },
            ];
            rings.push(of(&parts));
        }
        rings.dedup();
        assert!((5..=10).contains(&rings.len()), "{rings:?}");
        assert_eq!(rings.last(), Some(&vec![1, 1]));
    }
}
