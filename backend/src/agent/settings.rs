//! What an operator tells the agent: flags, or a file.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use pointsman_config::value::{parse_duration, parse_interface, parse_name};
use serde::Deserialize;

use super::host::Direct;
use crate::protocol::PORT;
use crate::protocol::message::MAX_WEIGHT;

/// Switches at most.
const MAX_SWITCHES: usize = 64;

/// What is written, in flags or file. Flags go before the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// `HOST:PORT` of each switch.
    pub switch: Vec<String>,
    /// The pool's name.
    pub pool: Option<String>,
    /// The server's name.
    pub name: Option<String>,
    /// The server's address.
    pub address: Option<IpAddr>,
    /// The server's port.
    pub port: Option<u16>,
    /// 0 to 1000.
    pub weight: Option<u32>,
    /// The file that holds the secret of `[agents]`.
    pub secret_file: Option<PathBuf>,
    /// What tells whether the server is fit.
    pub ready: Option<String>,
    /// From one such question to the next.
    pub ready_interval: Option<String>,
    /// Whether the server answers clients itself.
    pub direct: Option<bool>,
    /// Contact addresses, whatever the switches say.
    pub contact_address: Vec<IpAddr>,
    /// The interface that clients are reached by.
    pub interface: Option<String>,
    /// Whether packets come in a tunnel, whatever the switches say.
    pub tunnel: Option<bool>,
    /// `mptcp`.
    pub route_optimization: Option<String>,
    /// How long connections may go on after the farewell.
    pub drain: Option<String>,
    /// Where is kept what was changed on the host.
    pub state_folder: Option<PathBuf>,
}

/// The same, read and checked.
#[derive(Clone)]
pub struct Settings {
    /// `HOST:PORT` of each switch, each once.
    pub switches: Vec<String>,
    /// The pool's name.
    pub pool: String,
    /// The server's name.
    pub name: String,
    /// The server's address; `None`: the one that the switch is reached from.
    pub address: Option<IpAddr>,
    /// The server's port.
    pub port: u16,
    /// 0 to 1000.
    pub weight: u32,
    /// What agents and switches authenticate each other with.
    pub secret: String,
    /// What is asked whether the server is fit; `None`: it always is.
    pub ready: Option<Uri>,
    /// From one such question to the next.
    pub ready_interval: Duration,
    /// Whether the load of the processors is told where the server reports none.
    pub tells_load: bool,
    /// What the server needs to answer clients itself, if it does.
    pub direct: Option<Direct>,
}

impl Written {
    /// Reads a file.
    ///
    /// # Errors
    /// Why it cannot be used, in words that name the place.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let mut written: Self = toml::from_str(&text)
            .map_err(|error| format!("{}: {}", path.display(), error.to_string().trim_end()))?;
        // Relative to the file, as in a policy.
        if let (Some(file), Some(folder)) = (&mut written.secret_file, path.parent()) {
            *file = folder.join(&*file);
        }
        Ok(written)
    }

    /// What stands here, and otherwise there.
    pub fn or(self, other: Self) -> Self {
        Self {
            switch: match self.switch.is_empty() {
                true => other.switch,
                false => self.switch,
            },
            pool: self.pool.or(other.pool),
            name: self.name.or(other.name),
            address: self.address.or(other.address),
            port: self.port.or(other.port),
            weight: self.weight.or(other.weight),
            secret_file: self.secret_file.or(other.secret_file),
            ready: self.ready.or(other.ready),
            ready_interval: self.ready_interval.or(other.ready_interval),
            direct: self.direct.or(other.direct),
            contact_address: match self.contact_address.is_empty() {
                true => other.contact_address,
                false => self.contact_address,
            },
            interface: self.interface.or(other.interface),
            tunnel: self.tunnel.or(other.tunnel),
            route_optimization: self.route_optimization.or(other.route_optimization),
            drain: self.drain.or(other.drain),
            state_folder: self.state_folder.or(other.state_folder),
        }
    }

    /// Checks everything and reads the secret.
    ///
    /// # Errors
    /// The first thing that is wrong or lacks, with what to write.
    pub fn resolve(self) -> Result<Settings, String> {
        let direct = self.direct()?;
        let switches = switches(&self.switch)?;
        let pool = self
            .pool
            .ok_or("--pool is needed: the pool's name in the policy")?;
        let pool = parse_name(&pool).map_err(|why| format!("--pool: {why}"))?;
        let port = self.port.filter(|port| *port != 0);
        let port = port.ok_or("--port is needed: where the server listens, 1 to 65535")?;
        let name = self.name.unwrap_or_else(|| format!("{}:{port}", host()));
        let name = parse_name(&name).map_err(|why| format!("--name: {why}"))?;
        let weight = self.weight.unwrap_or(1);
        if weight > MAX_WEIGHT {
            return Err(format!("--weight must be from 0 to {MAX_WEIGHT}"));
        }
        let file = self.secret_file.ok_or(
            "--secret-file is needed: a file with the `secret` of [agents] in the switch's policy",
        )?;
        let interval = self.ready_interval.as_deref().unwrap_or("1s");
        let ready_interval =
            parse_duration(interval).map_err(|why| format!("--ready-interval: {why}"))?;
        Ok(Settings {
            switches,
            pool,
            name,
            address: self.address.map(|address| address.to_canonical()),
            port,
            weight,
            secret: secret(&file)?,
            ready: self.ready.as_deref().map(url).transpose()?,
            ready_interval: ready_interval.max(Duration::from_millis(10)),
            tells_load: direct.is_some(),
            direct,
        })
    }
}

impl Written {
    /// Where is kept what was changed on the host.
    pub fn state_folder(&self) -> PathBuf {
        let written = self.state_folder.clone();
        written.unwrap_or_else(|| PathBuf::from("/run/pointsman-agent"))
    }

    fn direct(&self) -> Result<Option<Direct>, String> {
        let others = [
            ("--interface", self.interface.is_some()),
            ("--tunnel", self.tunnel == Some(true)),
            ("--route-optimization", self.route_optimization.is_some()),
            ("--contact-address", !self.contact_address.is_empty()),
            ("--drain", self.drain.is_some()),
        ];
        if self.direct != Some(true) {
            let other = others.iter().find(|(_, written)| *written);
            return match other {
                Some((name, _)) => Err(format!("{name} means something with --direct alone")),
                None => Ok(None),
            };
        }
        let mptcp = match self.route_optimization.as_deref() {
            None => false,
            Some("mptcp") => true,
            Some(other) => {
                return Err(format!(
                    "--route-optimization: `{other}` is none; write mptcp"
                ));
            }
        };
        let usable = |ip: &&IpAddr| !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast();
        let addresses: Vec<_> = self.contact_address.iter().filter(usable).collect();
        if addresses.len() < self.contact_address.len() {
            return Err(
                "--contact-address: one of them is no address that clients could use".into(),
            );
        }
        let interface = self.interface.as_deref().map(parse_interface).transpose();
        let drain = self.drain.as_deref().unwrap_or("30s");
        Ok(Some(Direct {
            addresses: addresses.into_iter().map(|ip| ip.to_canonical()).collect(),
            interface: interface.map_err(|why| format!("--interface: {why}"))?,
            tunnel: self.tunnel == Some(true),
            mptcp,
            drain: parse_duration(drain).map_err(|why| format!("--drain: {why}"))?,
            state: self.state_folder(),
        }))
    }
}

/// Without the secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("switches", &self.switches)
            .field("pool", &self.pool)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn switches(written: &[String]) -> Result<Vec<String>, String> {
    let mut switches: Vec<String> = vec![];
    for text in written {
        let switch = switch(text)?;
        if !switches.contains(&switch) {
            switches.push(switch);
        }
    }
    match switches.len() {
        0 => Err(
            "--switch is needed: where `[agents]` of a switch listens, such as 10.0.0.1:9113"
                .into(),
        ),
        1..=MAX_SWITCHES => Ok(switches),
        _ => Err(format!("--switch: there are {MAX_SWITCHES} at most")),
    }
}

/// With the usual port where none is written.
fn switch(text: &str) -> Result<String, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(std::net::SocketAddr::new(ip, PORT).to_string());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (text, Some(PORT)),
    };
    let plain = |host: &str| {
        let letters = host.bytes();
        !host.is_empty() && letters.into_iter().all(|byte| byte.is_ascii_graphic())
    };
    match port.filter(|port| *port != 0) {
        Some(port) if plain(host) => Ok(format!("{host}:{port}")),
        _ => Err(format!("--switch: `{text}` is none; write 10.0.0.1:{PORT}")),
    }
}

/// As `${file:...}` in a policy: without the last line break.
fn secret(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("--secret-file {}: {error}", path.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.len() {
        16..=1024 => Ok(text.to_owned()),
        length => Err(format!(
            "--secret-file {}: the secret must have 16 to 1024 bytes, not {length} (`openssl rand \
             -base64 32` makes a good one)",
            path.display()
        )),
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let uri: Option<Uri> = text.parse().ok();
    let usable = |uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    uri.filter(usable).ok_or_else(|| {
        format!("--ready: `{text}` cannot be asked; write http://127.0.0.1:3000/healthz")
    })
}

fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> Written {
        let file = folder.join("secret");
        std::fs::write(&file, "sixteen bytes or more\n").unwrap();
        Written {
            switch: vec![
                "10.0.0.1".to_owned(),
                "[fd00::1]:7".to_owned(),
                "10.0.0.1:9113".to_owned(),
            ],
            pool: Some("app".to_owned()),
            port: Some(80),
            secret_file: Some(file),
            ..Written::default()
        }
    }

    #[test]
    fn what_is_not_written_has_a_default() {
        let folder = tempfile::tempdir().unwrap();
        let settings = written(folder.path()).resolve().unwrap();
        assert_eq!(settings.switches, ["10.0.0.1:9113", "[fd00::1]:7"]);
        assert!(settings.name.ends_with(":80"), "{}", settings.name);
        assert_eq!(settings.secret, "sixteen bytes or more");
        assert_eq!((settings.weight, settings.ready), (1, None));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_remedy() {
        type Spoil = fn(&mut Written);
        let folder = tempfile::tempdir().unwrap();
        let spoils: [(Spoil, &str); 9] = [
            (|it| it.switch.clear(), "--switch is needed"),
            (|it| it.switch = vec![":9113".into()], "write 10.0.0.1:9113"),
            (|it| it.switch = vec!["a:0".into()], "write 10.0.0.1:9113"),
            (|it| it.pool = None, "--pool is needed"),
            (|it| it.name = Some("a b".into()), "--name: "),
            (|it| it.port = Some(0), "--port is needed"),
            (|it| it.weight = Some(1001), "0 to 1000"),
            (
                |it| it.secret_file = Some("/none".into()),
                "/none: No such file",
            ),
            (|it| it.ready = Some("https://x/".into()), "write http://"),
        ];
        for (spoil, expected) in spoils {
            let mut written = written(folder.path());
            spoil(&mut written);
            let told = written.resolve().unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn flags_go_before_the_file_and_a_mistake_in_it_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, "pool = \"app\"\nport = 80\nsecret_file = \"s\"\n").unwrap();
        let file = Written::read(&path).unwrap();
        assert_eq!(file.secret_file, Some(folder.path().join("s")));
        let flags = Written {
            port: Some(81),
            ..Written::default()
        };
        let both = flags.or(file);
        assert_eq!((both.port, both.pool.as_deref()), (Some(81), Some("app")));
        std::fs::write(&path, "pool = \"app\"\nprot = 80\n").unwrap();
        let told = Written::read(&path).unwrap_err();
        assert!(told.contains("prot") && told.contains("line 2"), "{told}");
    }
}
