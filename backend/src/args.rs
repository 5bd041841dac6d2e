//! The command line.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use pointsman_backend::agent::Settings;
use pointsman_backend::agent::settings::Written;
use pointsman_backend::server::Options;
use pointsman_config::policy::BindAddr;
use pointsman_config::value::{parse_bind, parse_duration, parse_share, parse_size};

/// A member of a pool: a web server for tests and demos, and the agent that registers a server.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer every request with the server's name.
    ///
    /// /healthz tells health, /echo gives the request back as JSON, /ws is a WebSocket echo,
    /// /stream?n=10&every=100ms sends slowly, /size/1024 sends so many bytes, and /delay/200ms
    /// answers later.
    #[command(after_help = EXAMPLES)]
    Serve(Serve),
    /// Register a server with switches, for as long as this runs.
    ///
    /// The server is another program on this host. It becomes a member of a pool that has
    /// `discover = { agents = true }`, and leaves it when the agent is told to end.
    #[command(after_help = AGENT_EXAMPLES)]
    Agent(Box<AgentArgs>),
}

const EXAMPLES: &str = "\
Examples:
  pointsman-backend serve --listen 127.0.0.1:3000 --name one
  pointsman-backend serve --listen :3001 --delay 200ms --errors 5%
  pointsman-backend serve --listen :3002 --cache 200 --miss 20ms
  pointsman-backend serve --listen :3003 --delay 20ms --workers 10     answers 500 a second at most";

const AGENT_EXAMPLES: &str = "\
Examples:
  pointsman-backend agent --switch 10.0.0.1 --switch 10.0.0.2 --pool app --port 8080 \\
      --secret-file /etc/pointsman/agents.secret --ready http://127.0.0.1:8080/healthz
  pointsman-backend agent --config /etc/pointsman/agent.toml --direct --check
  pointsman-backend agent --config /etc/pointsman/agent.toml       the same keys in TOML, with _ for -";

/// The flags of `agent`.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    /// A TOML file with what is not given here, such as pool = "app"
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where `[agents]` of a switch listens; once for each switch
    #[arg(long, value_name = "HOST:PORT")]
    switch: Vec<String>,
    /// The pool's name in the policy of the switches
    #[arg(long)]
    pool: Option<String>,
    /// What the server is called there [default: HOST:PORT]
    #[arg(long)]
    name: Option<String>,
    /// The server's address [default: the one that the switch is reached from]
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// The server's port
    #[arg(long)]
    port: Option<u16>,
    /// Its share beside the others, 0 to 1000 [default: 1]
    #[arg(long)]
    weight: Option<u32>,
    /// A file with the `secret` of `[agents]`
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Ask here whether the server is fit, such as http://127.0.0.1:8080/healthz
    #[arg(long, value_name = "URL")]
    ready: Option<String>,
    /// From one such question to the next [default: 1s]
    #[arg(long, value_name = "DURATION")]
    ready_interval: Option<String>,
    /// The server answers clients itself: for pools with forward = "direct"
    #[arg(long)]
    direct: bool,
    /// With --direct: a contact address, whatever the switches say
    #[arg(long, value_name = "IP")]
    contact_address: Vec<IpAddr>,
    /// With --direct: the interface that clients are reached by [default: that of the server's
    /// address]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// With --direct: packets come in a tunnel, though no switch says so
    #[arg(long)]
    tunnel: bool,
    /// With --direct: mptcp tells clients the server's own address, whatever the switches say
    #[arg(long, value_name = "KIND")]
    route_optimization: Option<String>,
    /// With --direct: how long connections may go on after the farewell [default: 30s]
    #[arg(long, value_name = "DURATION")]
    drain: Option<String>,
    /// Where is kept what was changed on the host [default: /run/pointsman-agent]
    #[arg(long, value_name = "FOLDER")]
    state_folder: Option<PathBuf>,
    /// Say what would be done and what lacks, and do nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Take back what agents that were killed have left on this host, and end
    #[arg(long, conflicts_with = "check")]
    pub(crate) take_back: bool,
}

impl AgentArgs {
    /// What they and the file say.
    pub(crate) fn settings(self) -> Result<Settings, String> {
        self.written()?.resolve()
    }

    /// Where is kept what was changed on the host.
    pub(crate) fn state_folder(self) -> Result<PathBuf, String> {
        Ok(self.written()?.state_folder())
    }

    fn written(self) -> Result<Written, String> {
        let file = self.config.as_deref().map(Written::read).transpose()?;
        let flags = Written {
            switch: self.switch,
            pool: self.pool,
            name: self.name,
            address: self.address,
            port: self.port,
            weight: self.weight,
            secret_file: self.secret_file,
            ready: self.ready,
            ready_interval: self.ready_interval,
            direct: self.direct.then_some(true),
            contact_address: self.contact_address,
            interface: self.interface,
            tunnel: self.tunnel.then_some(true),
            route_optimization: self.route_optimization,
            drain: self.drain,
            state_folder: self.state_folder,
        };
        Ok(flags.or(file.unwrap_or_default()))
    }
}

/// The flags of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Where to listen, such as 127.0.0.1:3000 or :3000
    #[arg(long, value_name = "ADDR", value_parser = listen)]
    pub(crate) listen: SocketAddr,
    /// The name to answer with [default: the address]
    #[arg(long)]
    name: Option<String>,
    /// Hold each answer back, such as 200ms
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    delay: Duration,
    /// Work on so many requests at a time, others wait [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,
    /// Answer this share with status 500, such as 5%
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "0%")]
    errors: f64,
    /// Fill each answer up to this size, such as 64KiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "0B")]
    size: u64,
    /// Keep so many paths in memory; counts with --miss
    #[arg(long, value_name = "PATHS", default_value_t = 0, requires = "miss")]
    cache: usize,
    /// Read a path that is not in memory for so long, one at a time, such as 20ms
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    miss: Duration,
    /// Report the load in the response header endpoint-load-metrics (ORCA)
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    report_load: bool,
}

impl From<Serve> for Options {
    fn from(serve: Serve) -> Self {
        Self {
            listen: serve.listen,
            name: serve.name,
            delay: serve.delay,
            workers: serve.workers.map(|count| count as usize),
            errors: serve.errors,
            size: serve.size,
            cache: serve.cache,
            miss: serve.miss,
            report_load: serve.report_load,
            ..Self::default()
        }
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    match parse_bind(text).map_err(|why| why.to_string())? {
        BindAddr::Any(port) => Ok((Ipv6Addr::UNSPECIFIED, port).into()),
        BindAddr::Socket(addr) => Ok(addr),
        BindAddr::Unix(_) => Err("Unix sockets are not served here; write \":3000\"".to_owned()),
    }
}
