//! How often one client may ask: the generic cell rate algorithm (ITU-T I.371), one number per
//! client that says when all it has asked for would have been due.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pointsman_config::policy::Rate;

/// Clients that are remembered at most. Beyond them newcomers are not counted: memory is bounded,
/// and no client is refused for what others did.
const CLIENTS: usize = 1 << 16;

/// The clients of the whole process, by listener.
#[derive(Debug, Default)]
pub struct Quota(Mutex<HashMap<(u32, IpAddr), Instant>>);

impl Quota {
    /// Whether this client may ask once more now.
    pub fn take(&self, listener: u32, client: IpAddr, rate: Rate, now: Instant) -> bool {
        let key = (listener, network(client));
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= CLIENTS && !due.contains_key(&key) {
            due.retain(|_, at| *at > now);
            if due.len() >= CLIENTS {
                return true;
            }
        }
        let at = due.entry(key).or_insert(now);
        let next = (*at).max(now) + rate.per / rate.count.max(1);
        let fits = next <= now + rate.per;
        if fits {
            *at = next;
        }
        fits
    }
}

/// One subscriber has a whole /64 of IPv6 addresses.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate {
        count: 10,
        per: Duration::from_secs(1),
    };

    #[test]
    fn a_burst_of_one_period_passes_and_then_the_rate_holds() {
        let (quota, client) = (Quota::default(), IpAddr::from([10, 0, 0, 1]));
        let start = Instant::now();
        let passed = (0..50)
            .filter(|_| quota.take(0, client, RATE, start))
            .count();
        assert_eq!(passed, 10);
        let steps = (1..=100).map(|n| start + Duration::from_millis(20) * n);
        let later = steps
            .filter(|now| quota.take(0, client, RATE, *now))
            .count();
        assert_eq!(later, 20, "two seconds at ten per second");
    }

    #[test]
    fn clients_and_listeners_do_not_share() {
        let (quota, now) = (Quota::default(), Instant::now());
        let once = Rate { count: 1, ..RATE };
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(quota.take(0, a, once, now));
        assert!(!quota.take(0, a, once, now));
        assert!(quota.take(0, b, once, now));
        assert!(quota.take(1, a, once, now));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let (quota, now) = (Quota::default(), Instant::now());
        let once = Rate { count: 1, ..RATE };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(quota.take(0, ip("2001:db8::1"), once, now));
        assert!(!quota.take(0, ip("2001:db8::2"), once, now));
        assert!(quota.take(0, ip("2001:db8:0:1::1"), once, now));
    }
}
