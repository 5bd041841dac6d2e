//! A client's budget of nuisances. Frames that cost this side more than the client, or that come to
//! nothing, are charged; time and honest traffic pay back. A client that overdraws is sent away
//! with ENHANCE_YOUR_CALM (RFC 9113 10.5). Against rapid resets (CVE-2023-44487), resets that the
//! peer provokes (CVE-2025-8671) and floods of control frames (CVE-2019-9512 to -9518).

/// Points that a client may owe.
const CREDIT: u32 = 4000;
/// Points that are forgiven per second.
const PER_SECOND: u64 = 400;
/// Points that each response that was taken pays back.
const RESPONSE: u32 = 10;
/// Points that each content frame pays back, if it is not tiny.
const CONTENT: u32 = 4;
/// Bytes from which on content is not tiny.
const TINY: usize = 32;

/// What a client is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nuisance {
    /// It took a request back.
    Reset,
    /// It did what its stream had to be reset for.
    Provoked,
    /// SETTINGS, which must be acknowledged.
    Settings,
    /// PING, which must be answered.
    Ping,
    /// WINDOW_UPDATE.
    WindowUpdate,
    /// PRIORITY, or a kind of frame that is not known.
    Ignored,
    /// DATA without content that does not end its stream.
    EmptyData,
    /// A part of a header block.
    Continuation,
}

impl Nuisance {
    fn points(self) -> u32 {
        match self {
            Nuisance::Reset | Nuisance::Provoked => 20,
            Nuisance::Settings | Nuisance::Ping => 4,
            Nuisance::EmptyData | Nuisance::Continuation => 4,
            Nuisance::WindowUpdate | Nuisance::Ignored => 2,
        }
    }
}

/// More than the budget was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdrawn;

/// One connection's budget.
#[derive(Debug, Default)]
pub struct Budget {
    owed: u32,
    /// Milliseconds of the connection's clock up to which time was paid back.
    settled: u64,
}

impl Budget {
    /// Charges the client.
    ///
    /// # Errors
    /// [`Overdrawn`] when it is to be sent away.
    pub fn charge(&mut self, what: Nuisance, now: u64) -> Result<(), Overdrawn> {
        self.owed += what.points();
        if self.owed <= CREDIT {
            return Ok(());
        }
        let forgiven = now.saturating_sub(self.settled).saturating_mul(PER_SECOND) / 1000;
        if forgiven > 0 {
            self.settled = now;
            self.pay(u32::try_from(forgiven).unwrap_or(u32::MAX));
        }
        if self.owed > CREDIT {
            Err(Overdrawn)
        } else {
            Ok(())
        }
    }

    /// A response was taken.
    pub fn responded(&mut self) {
        self.pay(RESPONSE);
    }

    /// So much content was taken, or given.
    pub fn moved(&mut self, n: usize) {
        if n >= TINY {
            self.pay(CONTENT);
        }
    }

    fn pay(&mut self, points: u32) {
        self.owed = self.owed.saturating_sub(points);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charges_until_overdrawn(budget: &mut Budget, what: Nuisance, now: u64) -> u32 {
        (0..).find(|_| budget.charge(what, now).is_err()).unwrap()
    }

    #[test]
    fn a_burst_of_resets_is_forgiven_and_a_flood_is_not() {
        let mut budget = Budget::default();
        assert_eq!(
            charges_until_overdrawn(&mut budget, Nuisance::Reset, 0),
            200
        );
    }

    #[test]
    fn time_pays_back_but_saves_nothing_up() {
        let mut budget = Budget::default();
        charges_until_overdrawn(&mut budget, Nuisance::Ping, 0);
        assert_eq!(
            charges_until_overdrawn(&mut budget, Nuisance::Ping, 1000),
            99
        );
        let year = 365 * 86_400_000;
        assert_eq!(
            charges_until_overdrawn(&mut budget, Nuisance::Ping, year),
            1001
        );
    }

    #[test]
    fn a_client_that_takes_as_many_responses_as_it_takes_requests_back_may_stay() {
        let mut budget = Budget::default();
        for _ in 0..100_000 {
            budget.charge(Nuisance::Reset, 0).unwrap();
            budget.responded();
            budget.responded();
        }
    }
}
