//! The guardian's own side.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::Socket;

use super::{Charge, Farewell, Order, farewell};
use crate::control::contact::host::netlink::Host;

/// Failures that are told of at most.
const MAX_FAILURES: usize = 16;
/// Of one reading.
const PIECE: usize = 16 << 10;

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The switch needs it no more; nothing was touched.
    Dismissed,
    /// The switch has died.
    Released {
        /// Addresses that were there and are no more.
        addresses: usize,
        /// What could not be done.
        failures: Vec<String>,
    },
}

/// Watches over the switch at the other ends of the two channels until that is over.
///
/// # Errors
/// There is no netlink, or what the switch says is not understood: then nothing was touched, and
/// the switch will start another guardian.
pub fn watch(orders: impl AsFd, lifeline: impl AsFd) -> io::Result<Outcome> {
    let host = Host::open()?;
    let (mut arrived, mut armed) = (Vec::new(), Armed::default());
    loop {
        let is_alive = wait(orders.as_fd(), lifeline.as_fd())?;
        // What the switch said before it died counts.
        let is_open = receive(orders.as_fd(), &mut arrived);
        while let Some(order) = Order::take(&mut arrived)? {
            match order {
                Order::Charge(charge) => armed = Armed::with(charge),
                Order::Dismiss => return Ok(Outcome::Dismissed),
            }
        }
        match is_open {
            Reception::Some => {}
            Reception::None if is_alive => {}
            Reception::None | Reception::End => return Ok(armed.release(&host)),
        }
    }
}

/// Until something is to be received or the lifeline is cut; whether it is whole.
fn wait(orders: BorrowedFd<'_>, lifeline: BorrowedFd<'_>) -> io::Result<bool> {
    let mut watched = [
        PollFd::from_borrowed_fd(orders, PollFlags::IN),
        PollFd::from_borrowed_fd(lifeline, PollFlags::IN),
    ];
    match poll(&mut watched, None) {
        Ok(_) | Err(Errno::INTR) => Ok(watched[1].revents().is_empty()),
        Err(error) => Err(error.into()),
    }
}

enum Reception {
    Some,
    None,
    End,
}

fn receive(orders: BorrowedFd<'_>, arrived: &mut Vec<u8>) -> Reception {
    let mut piece = [0; PIECE];
    match rustix::net::recv(orders, &mut piece, RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Reception::End,
        Ok((_, length)) => {
            arrived.extend(&piece[..length]);
            Reception::Some
        }
        Err(Errno::AGAIN | Errno::INTR) => Reception::None,
        // Such as a reset: the switch is not there any more.
        Err(_) => Reception::End,
    }
}

/// A charge, and what it takes to fulfil it at once.
#[derive(Default)]
struct Armed {
    charge: Charge,
    /// One for each farewell: opening one when the switch has died would take time.
    sockets: Vec<Option<Socket>>,
}

impl Armed {
    fn with(charge: Charge) -> Self {
        let sockets = charge.farewells.iter().map(|one| farewell::open(one).ok());
        Self {
            sockets: sockets.collect(),
            charge,
        }
    }

    fn release(self, host: &Host) -> Outcome {
        let (mut addresses, mut failures) = (0, Vec::new());
        let mut fail = |what: String, error: io::Error| {
            if failures.len() < MAX_FAILURES {
                failures.push(format!("{what}: {error}"));
            }
        };
        for held in &self.charge.addresses {
            match host.remove_address(held.index, held.net) {
                Ok(was_there) => addresses += usize::from(was_there),
                Err(error) => fail(held.net.to_string(), error),
            }
        }
        for (farewell, socket) in self.charge.farewells.iter().zip(self.sockets) {
            if let Err(error) = send(farewell, socket) {
                fail(format!("farewell to {}", farewell.destination), error);
            }
        }
        for index in &self.charge.links {
            if let Err(error) = host.remove_link(*index) {
                fail(format!("interface {index}"), error);
            }
        }
        Outcome::Released {
            addresses,
            failures,
        }
    }
}

/// Where no socket could be opened beforehand, as while the source's address was not there yet, one
/// is opened now.
fn send(farewell: &Farewell, socket: Option<Socket>) -> io::Result<()> {
    let socket = socket.map_or_else(|| farewell::open(farewell), Ok)?;
    farewell::send(&socket, farewell)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What becomes of it when the switch has said this and then closed one of its ends.
    fn outcome(said: &[u8], cuts_lifeline: bool) -> io::Result<Outcome> {
        let (mut switch, orders) = UnixStream::pair()?;
        let (held, lifeline) = UnixStream::pair()?;
        switch.write_all(said)?;
        let _open = if cuts_lifeline {
            drop(held);
            switch
        } else {
            drop(switch);
            held
        };
        watch(orders, lifeline)
    }

    fn bytes(orders: &[Order]) -> Vec<u8> {
        let encoded = orders.iter().map(|order| order.encode().expect("short"));
        encoded.collect::<Vec<_>>().concat()
    }

    #[test]
    fn whoever_is_dismissed_touches_nothing() {
        let orders = bytes(&[Order::Charge(Charge::default()), Order::Dismiss]);
        for cuts_lifeline in [true, false] {
            let outcome = outcome(&orders, cuts_lifeline).expect("netlink");
            assert_eq!(outcome, Outcome::Dismissed);
        }
    }

    #[test]
    fn the_end_without_a_word_is_the_switchs_death_be_it_in_the_middle_of_an_order() {
        let order = bytes(&[Order::Charge(Charge::default())]);
        let begun = [order.clone(), order[..7].to_vec()].concat();
        for (said, cuts_lifeline) in [(&order, true), (&order, false), (&begun, true)] {
            let nothing = Outcome::Released {
                addresses: 0,
                failures: Vec::new(),
            };
            assert_eq!(outcome(said, cuts_lifeline).expect("netlink"), nothing);
        }
    }

    #[test]
    fn an_order_that_is_not_understood_ends_it_without_a_release() {
        let mut orders = bytes(&[Order::Charge(Charge::default())]);
        orders.extend(b"\0\0\0\x02{]");
        assert!(outcome(&orders, false).is_err());
    }
}
