//! Draws the pool of a request by weight, and for the same client always the same one.

use pointsman_config::policy::HashBy;

use crate::balance::{hash_bytes, mix};

/// A route's pools and their weights.
///
/// The draw is weighted rendezvous hashing (Schindelhauer, Schomaker: "Weighted Distributed Hash
/// Tables", SPAA 2005): each pool gets a number from the client and its own name, exponentially
/// distributed with the pool's weight as its rate, and the smallest one wins. Who wins depends on
/// the ratios of the weights alone; a pool whose share grows takes clients over from others, and no
/// client moves between two pools whose shares do not change towards each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    by: HashBy,
    shares: Vec<Share>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Share {
    /// The pool's place in the snapshot.
    pool: usize,
    weight: u32,
    /// Of the pool's name, so that neither the order of the file nor other pools matter.
    seed: u64,
}

impl Split {
    /// A split between these pools: place, name and weight.
    pub fn new<'a>(by: HashBy, pools: impl IntoIterator<Item = (usize, &'a str, u32)>) -> Self {
        let share = |(pool, name, weight): (usize, &str, u32)| Share {
            pool,
            weight,
            seed: hash_bytes(name.as_bytes()),
        };
        Self {
            by,
            shares: pools.into_iter().map(share).collect(),
        }
    }

    /// What tells clients apart.
    pub fn by(&self) -> &HashBy {
        &self.by
    }

    /// The pools' places and weights.
    pub fn shares(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.shares.iter().map(|share| (share.pool, share.weight))
    }

    /// The place of the client's pool. Of those with a weight that can serve it is the one that
    /// draws the smallest number; when none of them can, the client's own.
    pub fn draw(&self, client: u64, can_serve: impl Fn(usize) -> bool) -> Option<usize> {
        let mut own: Option<(f64, usize)> = None;
        let mut open: Option<(f64, usize)> = None;
        for share in self.shares.iter().filter(|share| share.weight > 0) {
            let drawn = share.number(client);
            let beats = |best: &Option<(f64, usize)>| best.is_none_or(|(least, _)| drawn < least);
            if beats(&own) {
                own = Some((drawn, share.pool));
            }
            if beats(&open) && can_serve(share.pool) {
                open = Some((drawn, share.pool));
            }
        }
        open.or(own).map(|(_, pool)| pool)
    }
}

impl Share {
    fn number(&self, client: u64) -> f64 {
        /// The distance of two neighbouring numbers of 53 bits in 0 to 1.
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        let bits = mix(client ^ self.seed) >> 11;
        let uniform = (bits as f64 + 0.5) * STEP;
        -uniform.ln() / f64::from(self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: u64 = 100_000;

    fn split(weights: &[u32]) -> Split {
        let names = ["api", "api-canary", "api-next", "api-old"];
        let pools = names.iter().zip(weights).enumerate();
        Split::new(
            HashBy::ClientIp,
            pools.map(|(place, (name, weight))| (place, *name, *weight)),
        )
    }

    fn drawn(split: &Split) -> Vec<usize> {
        let clients = (0..CLIENTS).map(|client| hash_bytes(&client.to_le_bytes()));
        clients
            .map(|client| split.draw(client, |_| true).expect("a pool"))
            .collect()
    }

    fn shares(drawn: &[usize], pools: usize) -> Vec<f64> {
        let count = |pool| drawn.iter().filter(|place| **place == pool).count();
        (0..pools)
            .map(|pool| count(pool) as f64 / CLIENTS as f64)
            .collect()
    }

    #[test]
    fn clients_are_shared_out_by_weight_whatever_the_sum() {
        for weights in [[95, 5, 0], [1, 1, 1], [999_000, 1000, 500_000], [1, 0, 0]] {
            let sum: u32 = weights.iter().sum();
            let got = shares(&drawn(&split(&weights)), weights.len());
            for (weight, share) in weights.iter().zip(got) {
                let wanted = f64::from(*weight) / f64::from(sum);
                assert!((share - wanted).abs() < 0.005, "{weights:?}: {share}");
                assert!(*weight > 0 || share == 0.0);
            }
        }
    }

    #[test]
    fn a_change_of_weights_moves_no_more_clients_than_it_must() {
        let cases: [(&[u32], &[u32]); 5] = [
            (&[95, 5], &[90, 10]),
            (&[95, 5], &[100, 0]),
            (&[95, 5], &[190, 10]),
            (&[50, 50, 0], &[40, 40, 20]),
            (&[90, 5, 5], &[80, 15, 5]),
        ];
        for (before, after) in cases {
            let (one, two) = (drawn(&split(before)), drawn(&split(after)));
            let moved = one.iter().zip(&two).filter(|(a, b)| a != b).count();
            let pools = before.len();
            let (shares_before, shares_after) = (shares(&one, pools), shares(&two, pools));
            let gained = shares_before.iter().zip(&shares_after);
            let needed: f64 = gained.map(|(a, b)| (b - a).max(0.0)).sum();
            let moved = moved as f64 / CLIENTS as f64;
            assert!(moved <= needed + 0.006, "{before:?}: {moved}, not {needed}");
        }
    }

    #[test]
    fn a_pool_that_gains_takes_clients_and_gives_none() {
        let (one, two) = (drawn(&split(&[90, 5, 5])), drawn(&split(&[80, 15, 5])));
        let lost = one.iter().zip(&two).filter(|(a, b)| **a == 1 && **b != 1);
        assert_eq!(lost.count(), 0);
    }

    #[test]
    fn neither_the_order_nor_other_pools_of_no_weight_matter() {
        let pools = [(0, "api", 95), (1, "api-canary", 5), (2, "api-old", 0)];
        let one = Split::new(HashBy::ClientIp, pools);
        let mut turned = pools;
        turned.reverse();
        let two = Split::new(HashBy::ClientIp, turned);
        let three = Split::new(HashBy::ClientIp, pools[..2].to_vec());
        assert_eq!(drawn(&one), drawn(&two));
        assert_eq!(drawn(&one), drawn(&three));
    }

    #[test]
    fn while_a_pool_cannot_serve_its_clients_alone_go_elsewhere() {
        let split = split(&[50, 40, 10]);
        for client in 0..10_000 {
            let client = mix(client);
            let own = split.draw(client, |_| true);
            let now = split.draw(client, |place| place != 1);
            assert_ne!(now, Some(1));
            assert!(own == Some(1) || own == now);
            assert_eq!(
                split.draw(client, |_| false),
                own,
                "who answers 503 is known"
            );
        }
        assert_eq!(split.draw(7, |place| place == 3), split.draw(7, |_| true));
    }

    #[test]
    fn a_pool_of_weight_zero_does_not_stand_in() {
        assert_eq!(split(&[1, 0]).draw(1, |place| place == 1), Some(0));
        assert_eq!(split(&[0, 0]).draw(1, |_| true), None);
    }
}
