//! What `GET /status`, `pointsman status` and `pointsman contact status` tell of the contact
//! addresses. The contact thread writes it on a [`Board`], whoever is asked reads it there.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::control::clock::rfc3339;

/// Events that are kept.
pub const MAX_EVENTS: usize = 64;

/// Everything about the contact addresses. Times of day are RFC 3339, durations seconds. Another
/// version may leave out or add fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactsStatus {
    /// How the system schedules the thread: `realtime`, `nice` or `none` (as any other).
    pub scheduling: String,
    /// The groups.
    pub contacts: Vec<ContactStatus>,
    /// The other switches that the policy names.
    pub peers: Vec<PeerStatus>,
    /// What happened, the newest last; [`MAX_EVENTS`] at most.
    pub events: Vec<ContactEvent>,
}

/// A group of addresses that move together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactStatus {
    /// Such as `51/ipv4`; `None` for addresses that are announced by BGP.
    pub group: Option<String>,
    /// The addresses, in the policy's order.
    pub addresses: Vec<String>,
    /// Where they are.
    pub interface: String,
    /// How the network learns of them: `vrrp` or `bgp`.
    pub announce: String,
    /// What this switch is: `active`, `standby` or `out`.
    pub role: String,
    /// Since when.
    pub since: String,
    /// Why it became that, in words.
    pub why: String,
    /// In force now, 0 to 255.
    pub priority: u8,
    /// The address of the switch that holds them, or [`THIS_SWITCH`]; `None` while nobody is known
    /// to.
    pub holder: Option<String>,
    /// Peers that would take over.
    pub standbys: u32,
    /// This switch's last takeover.
    pub last_takeover: Option<TakeoverStatus>,
    /// Times that another switch was found to hold them, too.
    pub conflicts: u64,
    /// Packets of connections that are another switch's, passed on to it.
    pub relayed_packets: u64,
    /// The operator had it given up, and it is not taken back before `pointsman contact resume`.
    pub yielded: bool,
}

/// What stands in [`ContactStatus::holder`] for the switch itself.
pub const THIS_SWITCH: &str = "this switch";

/// A takeover.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TakeoverStatus {
    /// When the addresses were announced.
    pub at: String,
    /// From the last sign of the holder before to the first announcement.
    pub seconds: f64,
    /// The word for the reason, as in the metrics.
    pub reason: String,
}

/// Another switch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerStatus {
    /// Its address in the policy.
    pub address: String,
    /// `up`, `connecting`, `refused` or `no-secret`.
    pub state: String,
    /// Since when.
    pub since: String,
    /// The version of its program, as it says.
    pub version: Option<String>,
    /// Whether its policy fits this one's: `same`, `differs` or `unknown`.
    pub policy: String,
    /// Since its last heartbeat.
    pub silence: f64,
    /// Times that it was taken for dead.
    pub losses: u64,
    /// What is wrong with it, if anything is.
    pub why: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactEvent {
    /// When.
    pub at: String,
    /// The word for it.
    pub event: String,
    /// Which group it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// In words.
    pub text: String,
}

impl ContactEvent {
    /// Something that happens now.
    pub fn now(event: &str, group: Option<String>, text: String) -> Self {
        Self {
            at: rfc3339(SystemTime::now()),
            event: event.to_owned(),
            group,
            text,
        }
    }
}

/// Where the contact thread writes how things stand. Neither side waits for the other: the thread
/// must not be held up by one who reads.
#[derive(Debug, Default)]
pub struct Board(ArcSwap<ContactsStatus>);

impl Board {
    /// With nothing on it but how the thread is scheduled.
    pub fn new(scheduling: &str) -> Self {
        Self(ArcSwap::from_pointee(ContactsStatus {
            scheduling: scheduling.to_owned(),
            ..ContactsStatus::default()
        }))
    }

    /// How things stand.
    pub fn read(&self) -> Arc<ContactsStatus> {
        self.0.load_full()
    }

    /// Replaces groups and peers; the events stay.
    pub fn show(&self, contacts: Vec<ContactStatus>, peers: Vec<PeerStatus>) {
        self.0.rcu(|before| ContactsStatus {
            contacts: contacts.clone(),
            peers: peers.clone(),
            ..ContactsStatus::clone(before)
        });
    }

    /// Adds an event; the oldest one goes when there are too many.
    pub fn tell(&self, event: ContactEvent) {
        self.0.rcu(|before| {
            let mut after = ContactsStatus::clone(before);
            let surplus = (after.events.len() + 1).saturating_sub(MAX_EVENTS);
            after.events.drain(..surplus);
            after.events.push(event.clone());
            after
        });
    }

    /// The system schedules the thread otherwise than before.
    pub fn set_scheduling(&self, scheduling: &str) {
        self.0.rcu(|before| ContactsStatus {
            scheduling: scheduling.to_owned(),
            ..ContactsStatus::clone(before)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::contact::group::Role;
    use crate::metrics::ROLES;

    #[test]
    fn a_board_keeps_the_last_events_and_shows_the_newest_state() {
        let board = Board::new("realtime");
        for n in 0..MAX_EVENTS + 3 {
            board.tell(ContactEvent::now("takeover", None, n.to_string()));
        }
        let contact = ContactStatus {
            role: "active".to_owned(),
            ..ContactStatus::default()
        };
        board.show(vec![contact.clone()], vec![PeerStatus::default()]);
        board.show(vec![contact.clone()], Vec::new());
        let status = board.read();
        assert_eq!(status.events.len(), MAX_EVENTS);
        assert_eq!(status.events[0].text, "3");
        assert_eq!(status.events[MAX_EVENTS - 1].text, "66");
        assert_eq!((&status.contacts, status.peers.len()), (&vec![contact], 0));
        assert_eq!(status.scheduling, "realtime");
        board.set_scheduling("nice");
        assert_eq!(board.read().scheduling, "nice");
        assert_eq!(board.read().events.len(), MAX_EVENTS);
    }

    #[test]
    fn a_status_of_another_version_is_read_as_far_as_it_goes() {
        let text = r#"{ "contacts": [{ "role": "standby", "moon": "full" }], "sun": 1 }"#;
        let status: ContactsStatus = serde_json::from_str(text).expect("it is read");
        assert_eq!(status.contacts[0].role, "standby");
        assert_eq!(status.contacts[0].holder, None);
    }

    #[test]
    fn metrics_and_status_have_the_same_words_for_roles() {
        let roles = [Role::Active, Role::Standby, Role::Out];
        assert_eq!(roles.map(Role::word), ROLES);
    }
}
