//! Groups of which keepalived is a member.

use std::net::IpAddr;

use pointsman_deploy::lab::{Config, Keepalived, Server, State, Switch, wait_until};

use crate::stage::{
    SHARED, SHARED6, Stage, Turn, group_of, lasts, target, target6, wait_for_family,
};

/// What keepalived says of adverts that it does not believe.
const COMPLAINTS: [&str; 3] = ["nvalid", "mismatch", "too long"];

#[test]
fn keepalived_and_the_switch_take_over_from_each_other_by_ipv4_multicast() {
    let name = "keepalived_and_the_switch_take_over_from_each_other_by_ipv4_multicast";
    take_turns(name, "ipv4", false);
}

#[test]
fn keepalived_and_the_switch_take_over_from_each_other_by_ipv4_unicast() {
    let name = "keepalived_and_the_switch_take_over_from_each_other_by_ipv4_unicast";
    take_turns(name, "ipv4", true);
}

#[test]
fn keepalived_and_the_switch_take_over_from_each_other_by_ipv6_multicast() {
    let name = "keepalived_and_the_switch_take_over_from_each_other_by_ipv6_multicast";
    take_turns(name, "ipv6", false);
}

fn take_turns(name: &str, family: &str, unicast: bool) {
    let Some(group) = Group::new(name, family, unicast) else {
        return;
    };
    let Group { stage, .. } = &group;
    let mut k = group.keepalived(100);
    group.wait_for_keepalived(&k);
    let mut p = group.switch(150, "");
    group.wait_for_switch(&p, &k);
    lasts("the preferred switch holds it", || {
        group.held() == (true, false)
    });

    p.stop();
    group.wait_for_keepalived(&k);
    let mut p = group.switch(150, "");
    group.wait_for_switch(&p, &k);
    p.kill();
    group.wait_for_keepalived(&k);

    let p = group.switch(50, "");
    wait_for_family(&p, family, "standby");
    lasts("the preferred keepalived holds it", || {
        group.held() == (false, true)
    });
    assert_eq!(
        group_of(&p, family)["holder"],
        group.own_of_keepalived().as_str()
    );
    k.stop();
    group.no_complaints(&k);
    group.wait_for_switch_alone(&p);
    let mut k = group.keepalived(100);
    group.wait_for_keepalived(&k);
    wait_for_family(&p, family, "standby");
    k.kill();
    wait_for_family(&p, family, "active");
    // Nobody takes it off the killed one's host, and still clients find the switch.
    assert_eq!(group.held(), (true, true));
    stage.wait_until_served(group.target, "a");
    group.no_complaints(&k);
}

#[test]
fn keepalived_believes_checksums_with_a_pseudo_header_alone() {
    let name = "keepalived_believes_checksums_with_a_pseudo_header_alone";
    let Some(group) = Group::new(name, "ipv4", false) else {
        return;
    };
    let k = group.keepalived(100);
    group.wait_for_keepalived(&k);
    let mut p = group.switch(150, "checksum = \"rfc9568\"");
    wait_for_family(&p, "ipv4", "active");
    wait_until("keepalived complains", || {
        k.log().to_lowercase().contains("checksum")
    });
    lasts("both hold it", || group.held() == (true, true));
    p.stop();
    let p = group.switch(150, "checksum = \"auto\"");
    wait_for_family(&p, "ipv4", "active");
    wait_until("the switch alone holds it", || {
        group.held() == (true, false)
    });
    assert_eq!(k.state(), State::Backup);
}

/// A switch in `a`, and keepalived in `b`.
struct Group {
    _web: Server,
    stage: Stage,
    family: &'static str,
    unicast: bool,
    target: std::net::SocketAddr,
}

impl Group {
    fn new(name: &str, family: &str, unicast: bool) -> Option<Self> {
        let stage = Stage::new(name, &["keepalived"], Turn::Together)?;
        let is_v4 = family == "ipv4";
        Some(Self {
            _web: Server::start(&stage.b, "[::]:80".parse().unwrap(), "b"),
            stage,
            family: if is_v4 { "ipv4" } else { "ipv6" },
            unicast,
            target: if is_v4 { target() } else { target6() },
        })
    }

    fn addresses(&self) -> Vec<String> {
        match self.family {
            "ipv4" => vec![format!("{SHARED}/24")],
            _ => vec!["fe80::100/64".to_owned(), format!("{SHARED6}/64")],
        }
    }

    fn keepalived(&self, priority: u8) -> Keepalived {
        let peers: &[IpAddr] = &[self.stage.a.ipv4().into()];
        let config = Config {
            priority,
            addresses: self.addresses(),
            peers: if self.unicast {
                peers.to_vec()
            } else {
                Vec::new()
            },
            ..Config::default()
        };
        Keepalived::start(&self.stage.b, &config)
    }

    fn switch(&self, priority: u8, keys: &str) -> Switch {
        let addresses = self.addresses();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let peers: &[IpAddr] = &[self.stage.b.ipv4().into()];
        let policy = self.stage.policy(&self.stage.a, priority).keys(keys);
        let policy = policy.addresses(&addresses);
        let policy = policy.peers(if self.unicast { peers } else { &[] });
        Switch::start(&self.stage.a, &policy.text())
    }

    /// Whether the switch's host and whether keepalived's has the address.
    fn held(&self) -> (bool, bool) {
        self.stage.held(match self.family {
            "ipv4" => SHARED,
            _ => SHARED6,
        })
    }

    #[track_caller]
    fn wait_for_keepalived(&self, keepalived: &Keepalived) {
        wait_until("keepalived alone holds it", || self.held() == (false, true));
        wait_until("and says so", || keepalived.state() == State::Master);
        self.stage.wait_until_served(self.target, "b");
        self.no_complaints(keepalived);
    }

    #[track_caller]
    fn wait_for_switch(&self, switch: &Switch, keepalived: &Keepalived) {
        self.wait_for_switch_alone(switch);
        wait_until("keepalived stands by", || {
            keepalived.state() == State::Backup
        });
        self.no_complaints(keepalived);
    }

    #[track_caller]
    fn wait_for_switch_alone(&self, switch: &Switch) {
        wait_for_family(switch, self.family, "active");
        wait_until("the switch alone holds it", || self.held() == (true, false));
        self.stage.wait_until_served(self.target, "a");
    }

    /// From which keepalived sends its adverts.
    fn own_of_keepalived(&self) -> String {
        if self.family == "ipv4" {
            return self.stage.b.ipv4().to_string();
        }
        let mac = self.stage.b.mac();
        let [a, b, c, d, e, f] = mac.map(u16::from);
        let ip = std::net::Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            (a ^ 2) << 8 | b,
            c << 8 | 0xff,
            0xfe00 | d,
            e << 8 | f,
        );
        ip.to_string()
    }

    #[track_caller]
    fn no_complaints(&self, keepalived: &Keepalived) {
        let log = keepalived.log();
        let complaint = COMPLAINTS.iter().find(|word| log.contains(*word));
        assert_eq!(complaint, None, "{log}");
    }
}
