//! `pointsman-backend serve` in a host.

use std::net::SocketAddr;
use std::process::Command;

use super::{Daemon, Host, program};

/// A web server that answers with its name.
#[derive(Debug)]
pub struct Server(Daemon);

impl Server {
    /// Starts it, and waits until it listens.
    pub fn start(host: &Host, listen: SocketAddr, name: &str) -> Self {
        Self::start_with(host, listen, name, &[])
    }

    /// The same with more arguments, such as `--errors 100%`.
    pub fn start_with(host: &Host, listen: SocketAddr, name: &str, more: &[&str]) -> Self {
        let file = program("pointsman-backend");
        let command = host.command(file.to_str().expect("a path in UTF-8"));
        Self::run(command, listen, name, more)
    }

    /// One that speaks Multipath TCP (RFC 8684), by mptcpize(8).
    pub fn start_with_mptcp(host: &Host, listen: SocketAddr, name: &str) -> Self {
        let mut command = host.command("mptcpize");
        command.arg("run").arg(program("pointsman-backend"));
        Self::run(command, listen, name, &[])
    }

    fn run(mut command: Command, listen: SocketAddr, name: &str, more: &[&str]) -> Self {
        command.args(["serve", "--listen", &listen.to_string(), "--name", name]);
        command.args(more);
        let mut daemon = Daemon::start(name, &mut command);
        daemon.wait_for_log("listens at");
        Self(daemon)
    }

    /// Ends it in the middle of everything (SIGKILL).
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Lets it finish what it has begun, and waits for its end.
    pub fn stop(&mut self) {
        self.0.stop();
    }
}
