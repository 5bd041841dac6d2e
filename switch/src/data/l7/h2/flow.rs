//! Flow control (RFC 9113 section 5.2): what may be sent, and what the peer may send.

/// The largest window (RFC 9113 6.9.1).
pub const LARGEST: i64 = (1 << 31) - 1;

/// The window that streams and connections begin with (RFC 9113 6.9.2).
pub const FIRST: i64 = 65_535;

/// The window was opened or filled beyond what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// What the peer is ready to take. It may be below zero after a change of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlet(i64);

impl Outlet {
    /// A window of this size.
    pub fn new(size: i64) -> Self {
        Self(size)
    }

    /// How many bytes may be sent.
    pub fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// `n` bytes are sent, no more than there is room for.
    pub fn sent(&mut self, n: usize) {
        self.0 -= n as i64;
    }

    /// The peer opened the window, or closed it somewhat by its settings.
    ///
    /// # Errors
    /// [`Overflow`] when it became larger than allowed.
    pub fn change(&mut self, by: i64) -> Result<(), Overflow> {
        self.0 += by;
        if self.0 > LARGEST {
            Err(Overflow)
        } else {
            Ok(())
        }
    }
}

/// What the peer may send. Bytes that were passed on open the window again, though not one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inlet {
    size: u32,
    left: u32,
    owed: u32,
}

impl Inlet {
    /// A window of this size, which the peer knows of.
    pub fn new(size: u32) -> Self {
        Self {
            size,
            left: size,
            owed: 0,
        }
    }

    /// `n` bytes came.
    ///
    /// # Errors
    /// [`Overflow`] when that is more than was allowed.
    pub fn came(&mut self, n: usize) -> Result<(), Overflow> {
        let left = u32::try_from(n).ok().and_then(|n| self.left.checked_sub(n));
        self.left = left.ok_or(Overflow)?;
        Ok(())
    }

    /// `n` bytes of what came were passed on; gives what the peer is to be told now, if anything:
    /// once half of the window is owed.
    pub fn passed_on(&mut self, n: usize) -> Option<u32> {
        self.owed += n as u32;
        if self.owed < self.size / 2 {
            return None;
        }
        self.left += self.owed;
        Some(std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_closed_by_settings_gives_no_room_until_it_is_opened_again() {
        let mut window = Outlet::new(10);
        window.sent(8);
        window.change(-5).unwrap();
        assert_eq!(window.room(), 0);
        window.change(4).unwrap();
        assert_eq!(window.room(), 1);
        assert_eq!(window.change(LARGEST), Err(Overflow));
    }

    proptest! {
        #[test]
        fn the_peer_never_owes_nor_gets_more_than_the_window(
            steps in proptest::collection::vec((any::<bool>(), 0usize..5000), 0..200),
        ) {
            let mut inlet = Inlet::new(10_000);
            let (mut may_send, mut held) = (10_000usize, 0);
            for (comes, n) in steps {
                if comes {
                    let fits = n <= may_send;
                    prop_assert_eq!(inlet.came(n).is_ok(), fits);
                    if fits {
                        may_send -= n;
                        held += n;
                    }
                } else {
                    let n = n.min(held);
                    held -= n;
                    may_send += inlet.passed_on(n).unwrap_or(0) as usize;
                }
                prop_assert!(may_send + held <= 10_000);
                prop_assert!(held > 5000 || may_send + held >= 5000);
            }
        }
    }
}
