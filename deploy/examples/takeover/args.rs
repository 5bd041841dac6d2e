//! What is to be measured.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub const USAGE: &str = "\
usage: takeover [--events LIST] [--who LIST] [--tries N] [--interval-ms N]
  --events       yield, stop, kill, kill-all, silent, carrier, heal, bgp-withdraw, bgp-kill, bgp-silent
  --who          keepalived, pointsman, direct, pointsman-keepalived, keepalived-pointsman, bird
                 (the one that holds the address stands first)
  --tries        of each event; healing is tried 20 times at least [default: 9]
  --interval-ms  between adverts, where keepalived takes part [default: 10]";

/// What happens to the switch that holds the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is asked to give the address away, and goes on.
    Yield,
    /// It is asked to end.
    Stop,
    /// It is killed, and with keepalived the web server, too.
    Kill,
    /// It is killed with all that belongs to it, as when the machine dies.
    KillAll,
    /// Its cable is cut, the carrier stays.
    Silent,
    /// Its carrier goes.
    Carrier,
    /// It was parted from the client and the other switch for a while, and no longer is.
    Heal,
    /// One of two routed switches withdraws its route.
    BgpWithdraw,
    /// One of two routed switches dies; its kernel lives.
    BgpKill,
    /// The cable of one of two routed switches is cut, the carrier stays.
    BgpSilent,
}

/// Who holds the address, and who takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Keepalived,
    Pointsman,
    /// Pointsman whose servers answer clients themselves.
    Direct,
    PointsmanKeepalived,
    KeepalivedPointsman,
    Bird,
}

const EVENTS: [(Event, &str); 10] = [
    (Event::Yield, "yield"),
    (Event::Stop, "stop"),
    (Event::Kill, "kill"),
    (Event::KillAll, "kill-all"),
    (Event::Silent, "silent"),
    (Event::Carrier, "carrier"),
    (Event::Heal, "heal"),
    (Event::BgpWithdraw, "bgp-withdraw"),
    (Event::BgpKill, "bgp-kill"),
    (Event::BgpSilent, "bgp-silent"),
];

const PARTIES: [(Who, &str); 6] = [
    (Who::Keepalived, "keepalived"),
    (Who::Pointsman, "pointsman"),
    (Who::Direct, "direct"),
    (Who::PointsmanKeepalived, "pointsman-keepalived"),
    (Who::KeepalivedPointsman, "keepalived-pointsman"),
    (Who::Bird, "bird"),
];

/// The command line.
#[derive(Debug)]
pub struct Args {
    events: Vec<Event>,
    who: Vec<Who>,
    tries: usize,
    /// Between adverts, where keepalived takes part.
    pub interval: Duration,
}

impl Args {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            events: EVENTS.map(|(event, _)| event).to_vec(),
            who: PARTIES.map(|(who, _)| who).to_vec(),
            tries: 9,
            interval: Duration::from_millis(10),
        };
        while let Some(flag) = words.next() {
            let value = words.next().ok_or(format!("{flag} wants a value"))?;
            match flag.as_str() {
                "--events" => args.events = list(&value, &EVENTS)?,
                "--who" => args.who = list(&value, &PARTIES)?,
                "--tries" => args.tries = number(&value)?,
                "--interval-ms" => args.interval = Duration::from_millis(number(&value)?),
                _ => return Err(format!("there is no {flag}")),
            }
        }
        match args.tries {
            0 => Err("--tries wants a number from 1 on".to_owned()),
            _ => Ok(args),
        }
    }

    /// What is measured of whom, where an event means something to them.
    pub fn cases(&self) -> impl Iterator<Item = (Event, Who)> + '_ {
        let all = |event| self.who.iter().map(move |who| (event, *who));
        let cases = self.events.iter().copied().flat_map(all);
        cases.filter(|(event, who)| who.knows(*event))
    }

    pub fn tries_of(&self, event: Event) -> usize {
        match event {
            // What goes wrong then does so now and then.
            Event::Heal => self.tries.max(20),
            _ => self.tries,
        }
    }

    /// Programs that have to be installed.
    pub fn programs(&self) -> Vec<&'static str> {
        let needed = |(event, who): (Event, Who)| match who {
            _ if event.is_routed() => ["bird", "birdc"].as_slice(),
            Who::Pointsman | Who::Direct => [].as_slice(),
            _ => ["keepalived"].as_slice(),
        };
        self.cases().flat_map(needed).copied().collect()
    }
}

impl Event {
    pub fn is_routed(self) -> bool {
        matches!(self, Self::BgpWithdraw | Self::BgpKill | Self::BgpSilent)
    }
}

impl Who {
    fn knows(self, event: Event) -> bool {
        match event {
            Event::Yield | Event::KillAll => {
                matches!(
                    self,
                    Self::Pointsman | Self::Direct | Self::PointsmanKeepalived
                )
            }
            _ if event.is_routed() => matches!(self, Self::Pointsman | Self::Bird),
            _ => self != Self::Bird,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(*self, &EVENTS))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(*self, &PARTIES))
    }
}

fn word<T: Copy + PartialEq>(wanted: T, table: &[(T, &'static str)]) -> &'static str {
    let found = table.iter().find(|(one, _)| *one == wanted);
    found.expect("the table has all of them").1
}

fn list<T: Copy>(words: &str, table: &[(T, &str)]) -> Result<Vec<T>, String> {
    let one = |word: &str| {
        let found = table.iter().find(|(_, name)| *name == word);
        found.map(|(one, _)| *one).ok_or(format!("what is {word}?"))
    };
    words.split(',').map(one).collect()
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}
