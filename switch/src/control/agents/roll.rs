//! Who is registered, without I/O: sessions and time go in, lists of backends come out.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use pointsman_backend::protocol::message::{Mode, Register, Standing};
use pointsman_config::policy::{Backend, BackendAddr};

use super::refusal::Refusal;

/// Servers at most, of all pools: those that are waited for, too. Agents that know the secret could
/// come and go under ever new names.
const MAX_SERVERS: usize = 4096;

/// A session's claim to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pool: String,
    number: u64,
}

/// How a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It was not there.
    New,
    /// Its agent was lost, or was replaced by this one.
    Back,
}

/// A registered server.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) mode: Mode,
    pub(super) standing: Standing,
    /// Where its agent connects from.
    pub(super) from: Option<IpAddr>,
    /// The agent's version.
    pub(super) version: String,
    /// Since when it is registered.
    pub(super) since: SystemTime,
    /// It has said farewell.
    leaving: bool,
    /// The last session that has registered it.
    session: u64,
    hold: Hold,
}

/// What keeps a member on the roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Its session.
    Session,
    /// The wait for its agent, until then.
    Until(Instant),
    /// The same, which begins when agents can connect.
    Seed,
}

/// All registered servers, by pool.
#[derive(Debug, Default)]
pub(super) struct Roll {
    pools: BTreeMap<String, Vec<Member>>,
    sessions: u64,
}

impl Roll {
    /// A session registers a server. One that is there already, with the same name and address, goes
    /// over to the new session.
    pub(super) fn register(
        &mut self,
        register: &Register,
        from: IpAddr,
    ) -> Result<(Ticket, Entry), Refusal> {
        let address = SocketAddr::new(register.address.to_canonical(), register.port);
        let count: usize = self.pools.values().map(Vec::len).sum();
        let members = self.pools.entry(register.pool.clone()).or_default();
        let same = |member: &Member| member.address == address;
        let namesake = |member: &Member| member.name == register.name && !same(member);
        if members.iter().any(namesake) {
            return Err(Refusal::NameTaken(register.name.clone()));
        }
        if count >= MAX_SERVERS && !members.iter().any(same) {
            return Err(Refusal::TooMany(MAX_SERVERS));
        }
        self.sessions += 1;
        let entry = match members.iter().position(same) {
            Some(place) => {
                members.swap_remove(place);
                Entry::Back
            }
            None => Entry::New,
        };
        members.push(Member {
            name: register.name.clone(),
            address,
            mode: register.mode,
            standing: register.standing.clone(),
            from: Some(from.to_canonical()),
            version: register.version.clone(),
            since: SystemTime::now(),
            leaving: false,
            session: self.sessions,
            hold: Hold::Session,
        });
        let ticket = Ticket {
            pool: register.pool.clone(),
            number: self.sessions,
        };
        Ok((ticket, entry))
    }

    /// Servers that another process has known.
    pub(super) fn seed(&mut self, pool: &str, backends: &[Backend]) {
        let members = self.pools.entry(pool.to_owned()).or_default();
        for backend in backends {
            let BackendAddr::Socket(address) = backend.addr else {
                continue;
            };
            members.push(Member {
                name: backend.name.clone(),
                address,
                mode: Mode::Unknown,
                standing: Standing {
                    weight: backend.weight,
                    ready: true,
                    why: String::new(),
                    load: String::new(),
                    holds: vec![],
                },
                from: None,
                version: String::new(),
                since: SystemTime::now(),
                leaving: false,
                session: 0,
                hold: Hold::Seed,
            });
        }
    }

    /// Whoever was seeded is waited for until then.
    pub(super) fn wait_for_seeds(&mut self, until: Instant) {
        for member in self.pools.values_mut().flatten() {
            if member.hold == Hold::Seed {
                member.hold = Hold::Until(until);
            }
        }
    }

    /// Whether another process has told this pool's servers.
    pub(super) fn is_seeded(&self, pool: &str) -> bool {
        let members = self.pools.get(pool).into_iter().flatten();
        members.into_iter().any(|member| member.session == 0)
    }

    /// Whether the session still speaks for its server.
    pub(super) fn holds(&self, ticket: &Ticket) -> bool {
        let members = self.pools.get(&ticket.pool).into_iter().flatten();
        members
            .into_iter()
            .any(|member| member.session == ticket.number)
    }

    /// How a server stands; whether it was ready before, if the session speaks for it.
    pub(super) fn update(&mut self, ticket: &Ticket, standing: Standing) -> Option<bool> {
        let member = self.member(ticket)?;
        let before = std::mem::replace(&mut member.standing, standing);
        Some(before.ready)
    }

    /// A server takes nothing new any more; whether that is new.
    pub(super) fn farewell(&mut self, ticket: &Ticket) -> bool {
        let member = self.member(ticket);
        member.is_some_and(|member| !std::mem::replace(&mut member.leaving, true))
    }

    /// The session is over. After a farewell the server goes with it; otherwise it stays until
    /// `until`. Whether it is missed.
    pub(super) fn lose(&mut self, ticket: &Ticket, until: Instant) -> bool {
        match self.member(ticket) {
            None => false,
            Some(member) if member.leaving => {
                self.remove(ticket);
                false
            }
            Some(member) => {
                member.hold = Hold::Until(until);
                true
            }
        }
    }

    /// The session's server goes at once.
    pub(super) fn remove(&mut self, ticket: &Ticket) {
        if let Some(members) = self.pools.get_mut(&ticket.pool) {
            members.retain(|member| member.session != ticket.number);
        }
        self.forget_empty();
    }

    /// Takes off who has not come back: pools and names.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(String, String)> {
        let mut gone = vec![];
        for (pool, members) in &mut self.pools {
            members.retain(|member| {
                let stays = !matches!(member.hold, Hold::Until(until) if until <= now);
                if !stays {
                    gone.push((pool.clone(), member.name.clone()));
                }
                stays
            });
        }
        self.forget_empty();
        gone
    }

    /// Forgets all pools but these.
    pub(super) fn retain_pools(&mut self, keep: impl Fn(&str) -> bool) {
        self.pools.retain(|pool, _| keep(pool));
    }

    /// When [`Roll::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = |member: &Member| match member.hold {
            Hold::Until(until) => Some(until),
            Hold::Session | Hold::Seed => None,
        };
        self.pools.values().flatten().filter_map(until).min()
    }

    /// The backends of a pool.
    pub(super) fn list(&self, pool: &str) -> Vec<Backend> {
        let members = self.pools.get(pool).into_iter().flatten();
        let backend = |member: &Member| Backend {
            name: member.name.clone(),
            addr: BackendAddr::Socket(member.address),
            weight: member.weight(),
            priority: 0,
        };
        members.map(backend).collect()
    }

    /// Everybody, by pool.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        let pools = self.pools.iter();
        pools.flat_map(|(pool, members)| members.iter().map(move |member| (pool.as_str(), member)))
    }

    /// How many are in which state, by pool.
    pub(super) fn census(&self) -> BTreeMap<(String, &'static str), u64> {
        let mut census = BTreeMap::new();
        for (pool, member) in self.members() {
            *census.entry((pool.to_owned(), member.state())).or_default() += 1;
        }
        census
    }

    fn member(&mut self, ticket: &Ticket) -> Option<&mut Member> {
        let members = self.pools.get_mut(&ticket.pool)?;
        members
            .iter_mut()
            .find(|member| member.session == ticket.number)
    }

    fn forget_empty(&mut self) {
        self.pools.retain(|_, members| !members.is_empty());
    }
}

impl Member {
    /// One that is not ready, or leaves, takes nothing new and finishes what it has.
    fn weight(&self) -> u32 {
        match self.standing.ready && !self.leaving {
            true => self.standing.weight,
            false => 0,
        }
    }

    /// One word of [`crate::metrics::AGENT_STATES`].
    pub(super) fn state(&self) -> &'static str {
        match self.hold {
            Hold::Until(_) | Hold::Seed => "lost",
            Hold::Session if self.leaving => "leaving",
            Hold::Session if self.standing.ready => "ready",
            Hold::Session => "not-ready",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GRACE: Duration = Duration::from_secs(3);

    fn register(name: &str, host: u8) -> Register {
        Register {
            version: "1".to_owned(),
            pool: "app".to_owned(),
            name: name.to_owned(),
            address: IpAddr::from([10, 0, 0, host]),
            port: 80,
            mode: Mode::Proxy,
            standing: standing(5, true),
        }
    }

    fn standing(weight: u32, ready: bool) -> Standing {
        Standing {
            weight,
            ready,
            why: String::new(),
            load: String::new(),
            holds: vec![],
        }
    }

    fn enter(roll: &mut Roll, name: &str, host: u8) -> Ticket {
        let from = IpAddr::from([10, 0, 0, host]);
        roll.register(&register(name, host), from).unwrap().0
    }

    fn shown(roll: &Roll) -> Vec<(String, u32)> {
        let list = roll.list("app").into_iter();
        list.map(|backend| (backend.name, backend.weight)).collect()
    }

    fn one(weight: u32) -> Vec<(String, u32)> {
        vec![("one".to_owned(), weight)]
    }

    #[test]
    fn a_server_that_is_not_ready_has_no_weight() {
        let mut roll = Roll::default();
        let ticket = enter(&mut roll, "one", 1);
        assert_eq!(shown(&roll), one(5));
        assert_eq!(roll.update(&ticket, standing(7, false)), Some(true));
        assert_eq!(shown(&roll), one(0));
        assert_eq!(roll.update(&ticket, standing(7, true)), Some(false));
        assert_eq!(shown(&roll), one(7));
    }

    #[test]
    fn a_session_that_is_lost_leaves_its_server_for_the_grace() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        let ticket = enter(&mut roll, "one", 1);
        assert!(roll.lose(&ticket, now + GRACE));
        assert_eq!(roll.deadline(), Some(now + GRACE));
        assert_eq!(roll.expire(now + GRACE / 2), []);
        assert_eq!(shown(&roll), one(5));
        let gone = [("app".to_owned(), "one".to_owned())];
        assert_eq!(roll.expire(now + GRACE), gone);
        assert_eq!((shown(&roll), roll.deadline()), (vec![], None));
    }

    #[test]
    fn who_comes_back_within_the_grace_was_never_away() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        let first = enter(&mut roll, "one", 1);
        roll.lose(&first, now + GRACE);
        let again = roll.register(&register("one", 1), IpAddr::from([10, 0, 0, 1]));
        assert_eq!(again.map(|(_, entry)| entry), Ok(Entry::Back));
        assert_eq!(roll.expire(now + GRACE * 2), []);
        assert_eq!(shown(&roll), one(5));
    }

    #[test]
    fn after_a_farewell_the_server_takes_nothing_and_goes_with_its_session() {
        let mut roll = Roll::default();
        let ticket = enter(&mut roll, "one", 1);
        assert!(roll.farewell(&ticket));
        assert!(!roll.farewell(&ticket));
        assert_eq!(shown(&roll), one(0));
        assert!(!roll.lose(&ticket, Instant::now() + GRACE));
        assert_eq!(shown(&roll), []);
    }

    #[test]
    fn a_session_that_was_replaced_changes_nothing_any_more() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        let old = enter(&mut roll, "one", 1);
        let new = enter(&mut roll, "one", 1);
        assert!(!roll.holds(&old) && roll.holds(&new));
        assert_eq!(roll.update(&old, standing(9, false)), None);
        assert!(!roll.farewell(&old) && !roll.lose(&old, now));
        roll.remove(&old);
        assert_eq!(shown(&roll), one(5));
    }

    #[test]
    fn nobody_takes_the_name_of_a_server_elsewhere() {
        let mut roll = Roll::default();
        let ticket = enter(&mut roll, "one", 1);
        let from = IpAddr::from([10, 0, 0, 2]);
        let refused = roll.register(&register("one", 2), from);
        assert_eq!(refused, Err(Refusal::NameTaken("one".to_owned())));
        roll.remove(&ticket);
        assert!(roll.register(&register("one", 2), from).is_ok());
    }

    #[test]
    fn agents_that_come_and_go_under_ever_new_names_fill_no_more_than_there_is() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        let [own, other] = [1, 2].map(|host| IpAddr::from([10, 0, 0, host]));
        for port in 1..=MAX_SERVERS as u16 {
            let server = Register {
                port,
                ..register(&format!("s{port}"), 1)
            };
            let (ticket, _) = roll.register(&server, own).unwrap();
            roll.lose(&ticket, now + GRACE);
        }
        let refused = roll.register(&register("one", 2), other);
        assert_eq!(refused, Err(Refusal::TooMany(MAX_SERVERS)));
        let known = Register {
            port: 7,
            ..register("s7", 1)
        };
        assert!(roll.register(&known, own).is_ok(), "it comes back");
        roll.expire(now + GRACE);
        assert!(roll.register(&register("one", 2), other).is_ok());
    }

    #[test]
    fn what_another_process_knew_stays_until_the_agents_had_time_to_come() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        enter(&mut roll, "one", 1);
        enter(&mut roll, "two", 2);
        let list = roll.list("app");
        let mut roll = Roll::default();
        roll.seed("app", &list);
        assert!(roll.is_seeded("app") && !roll.is_seeded("other"));
        assert_eq!(roll.deadline(), None, "nobody could come yet");
        roll.wait_for_seeds(now + GRACE);
        enter(&mut roll, "two", 2);
        assert_eq!(shown(&roll).len(), 2);
        assert_eq!(roll.expire(now + GRACE).len(), 1);
        assert_eq!(shown(&roll), [("two".to_owned(), 5)]);
    }

    #[test]
    fn a_pool_that_is_gone_from_the_policy_is_forgotten() {
        let mut roll = Roll::default();
        let ticket = enter(&mut roll, "one", 1);
        roll.retain_pools(|pool| pool != "app");
        assert!(!roll.holds(&ticket));
        assert_eq!(roll.census().len(), 0);
    }
}
