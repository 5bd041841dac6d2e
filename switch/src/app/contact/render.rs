//! The contact addresses for people: all of it, and in brief.

use std::fmt::Write as _;

use crate::control::contact::status::{
    ContactEvent, ContactStatus, ContactsStatus, PeerStatus, THIS_SWITCH,
};

/// Everything, for `pointsman contact status`.
pub(in crate::app) fn full(status: &ContactsStatus, color: bool) -> String {
    let mut text = String::new();
    for contact in &status.contacts {
        group(&mut text, contact, color);
        text.push('\n');
    }
    if !status.peers.is_empty() {
        text.push_str("peers\n");
        rows(&mut text, "  ", status.peers.iter().map(peer), color);
        text.push('\n');
    }
    if !status.events.is_empty() {
        text.push_str("events\n");
        rows(&mut text, "  ", status.events.iter().map(event), color);
        text.push('\n');
    }
    let _ = writeln!(text, "{}", scheduling(&status.scheduling));
    text
}

/// A line for each group and peer, for `pointsman status`.
pub(in crate::app) fn brief(status: &ContactsStatus, color: bool) -> String {
    let mut text = String::new();
    let contacts = status.contacts.iter().map(|contact| {
        vec![
            Cell::plain(format!("contact {}", contact.addresses.join(" "))),
            Cell::state(&contact.role),
            Cell::plain(standing(contact)),
            Cell::plain(holder(contact)),
        ]
    });
    rows(&mut text, "", contacts, color);
    let peers = status.peers.iter().map(|peer| {
        let mut row = vec![
            Cell::plain(format!("peer {}", peer.address)),
            Cell::state(&peer.state),
            Cell::plain(format!("policy {}", peer.policy)),
        ];
        row.extend(peer.why.as_deref().map(Cell::plain));
        row
    });
    rows(&mut text, "", peers, color);
    text
}

/// Without characters that would steer the terminal: some words come from another switch.
pub(super) fn plain(text: &str) -> String {
    let safe = |c: char| if c.is_control() && c != '\n' { '?' } else { c };
    text.chars().map(safe).collect()
}

fn group(text: &mut String, contact: &ContactStatus, color: bool) {
    let name = match &contact.group {
        Some(group) => format!("group {group}"),
        None => "addresses".to_owned(),
    };
    let _ = writeln!(
        text,
        "{} on {}, announced by {}",
        plain(&name),
        plain(&contact.interface),
        plain(&contact.announce)
    );
    let mut lines = vec![
        ("address", Cell::plain(contact.addresses.join(" "))),
        ("role", Cell::state(&contact.role)),
        (
            "since",
            Cell::plain(format!("{}: {}", contact.since, contact.why)),
        ),
        ("stands", Cell::plain(standing(contact))),
        ("holder", Cell::plain(holder(contact))),
    ];
    if let Some(takeover) = &contact.last_takeover {
        let took = span(takeover.seconds);
        let words = format!("in {took} at {} ({})", takeover.at, takeover.reason);
        lines.push(("takeover", Cell::plain(words)));
    }
    let counts = [
        (contact.conflicts, "times held by two"),
        (contact.relayed_packets, "packets passed on"),
    ];
    let counts = counts.map(|(count, what)| format!("{count} {what}"));
    lines.push(("counts", Cell::plain(counts.join(", "))));
    let lines = lines
        .into_iter()
        .map(|(name, cell)| vec![Cell::plain(name), cell]);
    rows(text, "  ", lines, color);
}

fn standing(contact: &ContactStatus) -> String {
    let standbys = match contact.standbys {
        0 => "no standby".to_owned(),
        1 => "1 standby".to_owned(),
        n => format!("{n} standbys"),
    };
    let yielded = if contact.yielded {
        ", given up by order"
    } else {
        ""
    };
    format!("priority {}, {standbys}{yielded}", contact.priority)
}

fn holder(contact: &ContactStatus) -> String {
    match contact.holder.as_deref() {
        Some(THIS_SWITCH) => "held by this switch".to_owned(),
        Some(holder) => format!("held by {holder}"),
        None => "held by nobody that is known".to_owned(),
    }
}

fn peer(peer: &PeerStatus) -> Vec<Cell> {
    let version = peer
        .version
        .as_deref()
        .map(|word| format!("version {word}"));
    let mut row = vec![
        Cell::plain(&peer.address),
        Cell::state(&peer.state),
        Cell::plain(format!("since {}", peer.since)),
        Cell::plain(version.unwrap_or_default()),
        Cell::plain(format!("policy {}", peer.policy)),
        Cell::plain(format!("heard {} ago", span(peer.silence))),
        Cell::plain(format!("losses {}", peer.losses)),
    ];
    row.extend(peer.why.as_deref().map(Cell::plain));
    row
}

fn event(event: &ContactEvent) -> Vec<Cell> {
    vec![
        Cell::plain(&event.at),
        Cell::plain(event.group.as_deref().unwrap_or("-")),
        Cell::plain(&event.event),
        Cell::plain(&event.text),
    ]
}

fn scheduling(word: &str) -> String {
    match word {
        "realtime" => "scheduled in real time".to_owned(),
        "nice" => "scheduled before others, not in real time: CAP_SYS_NICE is missing".to_owned(),
        "none" | "" => {
            "scheduled as any other thread: a busy machine may delay takeovers".to_owned()
        }
        other => format!("scheduled: {}", plain(other)),
    }
}

/// Seconds in the unit that suits.
fn span(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds.max(0.0) * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        ..120.0 => format!("{seconds:.1} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    }
}

/// One field of a row.
struct Cell {
    text: String,
    /// The sequence that sets its colour; empty: none.
    paint: &'static str,
}

impl Cell {
    fn plain(text: impl AsRef<str>) -> Self {
        Self {
            text: plain(text.as_ref()).replace('\n', " "),
            paint: "",
        }
    }

    /// The word for a role, or for the state of a peer.
    fn state(word: &str) -> Self {
        let paint = match word {
            "active" | "up" => "\x1b[32m",
            "standby" | "connecting" => "\x1b[33m",
            _ => "\x1b[31m",
        };
        Self {
            paint,
            ..Self::plain(word)
        }
    }
}

/// Writes rows whose columns stand below each other, two blanks apart.
fn rows(text: &mut String, indent: &str, rows: impl Iterator<Item = Vec<Cell>>, color: bool) {
    let rows: Vec<Vec<Cell>> = rows.collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    for row in &rows {
        let mut line = indent.to_owned();
        for (cell, &width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let missing = width - cell.text.chars().count();
            let painted = color && !cell.paint.is_empty();
            let (paint, end) = if painted {
                (cell.paint, "\x1b[0m")
            } else {
                ("", "")
            };
            let _ = write!(line, "{paint}{}{end}{:missing$}  ", cell.text, "");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::contact::status::TakeoverStatus;

    fn status() -> ContactsStatus {
        ContactsStatus {
            scheduling: "realtime".to_owned(),
            contacts: vec![
                ContactStatus {
                    group: Some("51/ipv4".to_owned()),
                    addresses: vec!["192.0.2.10/24".to_owned(), "192.0.2.11/24".to_owned()],
                    interface: "eth0".to_owned(),
                    announce: "vrrp".to_owned(),
                    role: "active".to_owned(),
                    since: "2026-11-25T19:34:12.345Z".to_owned(),
                    why: "10.0.0.11 fell silent".to_owned(),
                    priority: 150,
                    holder: Some(THIS_SWITCH.to_owned()),
                    standbys: 1,
                    last_takeover: Some(TakeoverStatus {
                        at: "2026-11-25T19:34:12.345Z".to_owned(),
                        seconds: 0.0234,
                        reason: "silence".to_owned(),
                    }),
                    conflicts: 0,
                    relayed_packets: 12,
                    yielded: false,
                },
                ContactStatus {
                    addresses: vec!["2001:db8::10/128".to_owned()],
                    interface: "pointsman0".to_owned(),
                    announce: "bgp".to_owned(),
                    role: "out".to_owned(),
                    since: "2026-11-25T19:34:12.345Z".to_owned(),
                    why: "it was told to".to_owned(),
                    yielded: true,
                    ..ContactStatus::default()
                },
            ],
            peers: vec![
                PeerStatus {
                    address: "10.0.0.11".to_owned(),
                    state: "refused".to_owned(),
                    since: "2026-11-25T19:34:12.345Z".to_owned(),
                    policy: "unknown".to_owned(),
                    silence: 300.0,
                    losses: 1,
                    why: Some("its secret is another one".to_owned()),
                    ..PeerStatus::default()
                },
                PeerStatus {
                    address: "10.0.0.112".to_owned(),
                    state: "up".to_owned(),
                    since: "2026-11-25T19:34:12.345Z".to_owned(),
                    version: Some("0.1.0".to_owned()),
                    policy: "same".to_owned(),
                    silence: 0.0031,
                    ..PeerStatus::default()
                },
            ],
            events: vec![ContactEvent {
                at: "2026-11-25T19:34:12.345Z".to_owned(),
                event: "takeover".to_owned(),
                group: Some("51/ipv4".to_owned()),
                text: "10.0.0.11 fell silent".to_owned(),
            }],
        }
    }

    #[test]
    fn people_see_groups_peers_and_events() {
        let expected = "\
group 51/ipv4 on eth0, announced by vrrp
  address   192.0.2.10/24 192.0.2.11/24
  role      active
  since     2026-11-25T19:34:12.345Z: 10.0.0.11 fell silent
  stands    priority 150, 1 standby
  holder    held by this switch
  takeover  in 23.4 ms at 2026-11-25T19:34:12.345Z (silence)
  counts    0 times held by two, 12 packets passed on

addresses on pointsman0, announced by bgp
  address  2001:db8::10/128
  role     out
  since    2026-11-25T19:34:12.345Z: it was told to
  stands   priority 0, no standby, given up by order
  holder   held by nobody that is known
  counts   0 times held by two, 0 packets passed on

peers
  10.0.0.11   refused  since 2026-11-25T19:34:12.345Z                 policy unknown  heard 5 min ago   losses 1  its secret is another one
  10.0.0.112  up       since 2026-11-25T19:34:12.345Z  version 0.1.0  policy same     heard 3.1 ms ago  losses 0

events
  2026-11-25T19:34:12.345Z  51/ipv4  takeover  10.0.0.11 fell silent

scheduled in real time
";
        assert_eq!(full(&status(), false), expected);
    }

    #[test]
    fn in_brief_each_group_and_peer_has_a_line() {
        let expected = "\
contact 192.0.2.10/24 192.0.2.11/24  active  priority 150, 1 standby                    held by this switch
contact 2001:db8::10/128             out     priority 0, no standby, given up by order  held by nobody that is known
peer 10.0.0.11   refused  policy unknown  its secret is another one
peer 10.0.0.112  up       policy same
";
        assert_eq!(brief(&status(), false), expected);
        assert_eq!(brief(&ContactsStatus::default(), true), "");
    }

    #[test]
    fn roles_and_states_have_colour_where_it_is_welcome() {
        let shown = full(&status(), true);
        assert!(shown.contains("\x1b[32mactive\x1b[0m"), "{shown}");
        assert!(shown.contains("\x1b[31mout"), "{shown}");
        assert!(!full(&status(), false).contains('\x1b'));
    }

    #[test]
    fn words_of_another_switch_cannot_steer_the_terminal() {
        let mut status = status();
        status.peers[0].version = Some("\x1b]0;x\x07\r1".to_owned());
        status.peers[0].why = Some("a\nb\u{9b}2J".to_owned());
        status.events[0].text = "\x1b[2J".to_owned();
        status.contacts[0].holder = Some("\x1b[2J".to_owned());
        let shown = full(&status, false) + &brief(&status, false);
        let steering = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(steering), "{shown:?}");
        assert!(shown.contains("a b?2J"), "{shown}");
    }

    #[test]
    fn spans_have_the_unit_that_suits() {
        let cases = [
            (0.0, "0 µs"),
            (0.000_42, "420 µs"),
            (0.0234, "23.4 ms"),
            (2.5, "2.5 s"),
            (300.0, "5 min"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(span(seconds), expected);
        }
    }
}
