//! Typed messages, each bounded. A message of a later version is passed over, a field of a later
//! version is ignored, and one that an earlier version does not send has a default.

use std::net::IpAddr;

use pointsman_config::value::parse_name;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of an encoded message at most.
pub const MAX_MESSAGE: usize = 16 << 10;
/// Bytes of any one text at most.
pub const MAX_TEXT: usize = 1024;
/// The largest weight.
pub const MAX_WEIGHT: u32 = 1000;
/// Services of one [`Accepted`] at most.
pub const MAX_SERVICES: usize = 64;

/// What can be sent.
pub trait Message: Serialize + DeserializeOwned {
    /// What serde does not look at.
    ///
    /// # Errors
    /// Which bound it does not keep.
    fn check(&self) -> Result<(), &'static str>;

    /// As JSON.
    ///
    /// # Errors
    /// What of it is beyond its bound.
    fn encode(&self) -> Result<Vec<u8>, &'static str> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|_| "a message cannot be encoded")?;
        match bytes.len() {
            0..=MAX_MESSAGE => Ok(bytes),
            _ => Err("a message is too long"),
        }
    }

    /// From JSON.
    ///
    /// # Errors
    /// What is wrong with it, or which bound it does not keep.
    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > MAX_MESSAGE {
            return Err("a message is too long");
        }
        let message: Self =
            serde_json::from_slice(bytes).map_err(|_| "a message cannot be understood")?;
        message.check()?;
        Ok(message)
    }
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToSwitch {
    /// The first one: a server is there.
    Register(Register),
    /// Something about it has changed.
    Update(Standing),
    /// It takes nothing new any more. The session goes on until what it has is done. As the first
    /// message: nothing is registered.
    Farewell,
    /// Nothing has changed.
    Alive,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// What a switch says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToAgent {
    /// The server is a member of the pool. Sent again whenever something of it changes.
    Accepted(Accepted),
    /// It is none, or not any more; the session ends.
    Refused(Refused),
    /// The switch has heard [`ToSwitch::Farewell`]: the server gets nothing new.
    Released,
    /// Another process of this switch takes over: connect anew, and at once.
    Moved,
    /// Nothing has changed.
    Alive,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// A server that wants to be a member of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// The agent's version.
    pub version: String,
    /// The pool's name in the switch's policy.
    pub pool: String,
    /// What the server is called there: a name as in a policy.
    pub name: String,
    /// Where it listens.
    pub address: IpAddr,
    /// Its port, not 0.
    pub port: u16,
    /// How packets are to reach it.
    #[serde(default)]
    pub mode: Mode,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// How packets reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The switch opens connections to it.
    #[default]
    Proxy,
    /// It has the contact address itself, and answers clients directly.
    Direct,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// What changes while a server is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// 0 to [`MAX_WEIGHT`]; 0 takes nothing new.
    pub weight: u32,
    /// Whether it is fit to take something new.
    pub ready: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Its load as in the response field `endpoint-load-metrics` (ORCA), such as
    /// `TEXT cpu_utilization=0.3`; empty: it tells nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub load: String,
    /// Contact addresses that it holds without answering for them on the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<IpAddr>,
}

/// What holds for a member of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accepted {
    /// The switch's version.
    pub version: String,
    /// What the pool serves by direct return.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Whether clients that speak MPTCP (RFC 8684) are told the server's own address.
    #[serde(default)]
    pub mptcp: bool,
    /// Packets come in a tunnel (IP in IP), from this address of the switch; `None`: as clients have
    /// sent them, or the switch is of a version that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<IpAddr>,
}

/// A service by direct return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Service {
    /// The contact address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// What is spoken.
    pub protocol: Transport,
}

/// A protocol above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// Why a server is no member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// One word.
    pub reason: String,
    /// In words, with what to do about it.
    pub text: String,
}

impl Message for ToSwitch {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Register(register) => register.check(),
            Self::Update(standing) => standing.check(),
            Self::Farewell | Self::Alive | Self::Unknown => Ok(()),
        }
    }
}

impl Message for ToAgent {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Accepted(accepted) if accepted.services.len() > MAX_SERVICES => {
                Err("there are too many services")
            }
            Self::Accepted(accepted) => text(&accepted.version),
            Self::Refused(refused) => text(&refused.reason).and_then(|()| text(&refused.text)),
            Self::Released | Self::Moved | Self::Alive | Self::Unknown => Ok(()),
        }
    }
}

impl Register {
    fn check(&self) -> Result<(), &'static str> {
        text(&self.version)?;
        parse_name(&self.pool).map_err(|_| "the pool's name is none")?;
        parse_name(&self.name).map_err(|_| "the server's name is none")?;
        if self.port == 0 || self.address.is_unspecified() || self.address.is_multicast() {
            return Err("the server's address is none");
        }
        self.standing.check()
    }
}

impl Standing {
    fn check(&self) -> Result<(), &'static str> {
        if self.weight > MAX_WEIGHT {
            return Err("the weight is beyond 1000");
        }
        if self.holds.len() > MAX_SERVICES {
            return Err("there are too many addresses");
        }
        text(&self.why)?;
        text(&self.load)
    }
}

fn text(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0..=MAX_TEXT if text.chars().any(char::is_control) => Err("a text has control characters"),
        0..=MAX_TEXT => Ok(()),
        _ => Err("a text is too long"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn register() -> Register {
        Register {
            version: "1".to_owned(),
            pool: "app".to_owned(),
            name: "one".to_owned(),
            address: IpAddr::from([10, 0, 0, 1]),
            port: 80,
            mode: Mode::Direct,
            standing: Standing {
                weight: 1,
                ready: true,
                why: String::new(),
                load: "TEXT cpu_utilization=0.5".to_owned(),
                holds: vec![],
            },
        }
    }

    #[test]
    fn a_registration_is_read_as_it_was_written() {
        let message = ToSwitch::Register(register());
        let bytes = message.encode().unwrap();
        assert_eq!(ToSwitch::decode(&bytes), Ok(message));
    }

    #[test]
    fn the_first_version_of_a_registration_is_understood_for_ever() {
        let bytes = br#"{"type":"register","version":"0.1.0","pool":"app","name":"one",
            "address":"10.0.0.1","port":80,"weight":2,"ready":true}"#;
        let Ok(ToSwitch::Register(got)) = ToSwitch::decode(bytes) else {
            panic!("it is not understood");
        };
        assert_eq!((got.mode, got.standing.weight), (Mode::Proxy, 2));
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let later = br#"{"type":"teleport","to":[1,2]}"#;
        assert_eq!(ToSwitch::decode(later), Ok(ToSwitch::Unknown));
        assert_eq!(ToAgent::decode(later), Ok(ToAgent::Unknown));
        let field = br#"{"type":"update","weight":1,"ready":true,"colour":"blue"}"#;
        assert!(matches!(ToSwitch::decode(field), Ok(ToSwitch::Update(_))));
    }

    #[test]
    fn what_is_beyond_its_bounds_is_refused() {
        type Spoil = fn(&mut Register);
        let spoils: [(&str, Spoil); 8] = [
            ("port", |it| it.port = 0),
            ("address", |it| it.address = IpAddr::from([0, 0, 0, 0])),
            ("multicast", |it| it.address = IpAddr::from([224, 0, 0, 1])),
            ("name", |it| it.name = "a b".to_owned()),
            ("pool", |it| it.pool = String::new()),
            ("weight", |it| it.standing.weight = 1001),
            ("reason", |it| it.standing.why = "x".repeat(MAX_TEXT + 1)),
            ("load", |it| it.standing.load = "\n".to_owned()),
        ];
        for (case, spoil) in spoils {
            let mut register = register();
            spoil(&mut register);
            let bytes = serde_json::to_vec(&ToSwitch::Register(register.clone())).unwrap();
            assert!(ToSwitch::decode(&bytes).is_err(), "{case}");
            assert!(ToSwitch::Register(register).encode().is_err(), "{case}");
        }
        assert!(ToSwitch::decode(&vec![b' '; MAX_MESSAGE + 1]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_understood_can_be_sent_on(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            place in 0usize..200,
            byte in any::<u8>(),
        ) {
            let _ = ToSwitch::decode(&bytes);
            let _ = ToAgent::decode(&bytes);
            let mut almost = ToSwitch::Register(register()).encode().unwrap();
            let place = place % almost.len();
            almost[place] = byte;
            if let Ok(message) = ToSwitch::decode(&almost) {
                prop_assert!(message.encode().is_ok());
            }
        }
    }
}
