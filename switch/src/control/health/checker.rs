//! Drives one machine per endpoint: each in a task of its own, with one probe under way at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_config::policy::{self, Check};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::probe::{Progress, Via};
use super::{Action, Active, Input, Machine, Passive, Rhythm, probe};
use crate::control::random::SplitMix;
use crate::endpoint::{Address, Endpoint, EndpointId, Health};

/// First probes begin so far apart: a thousand endpoints are all asked within a second.
const STEP: Duration = Duration::from_millis(1);

/// How an endpoint is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// Regularly, perhaps by another way than the usual one.
    Active(policy::Health, Option<Via>),
    /// After a failed connection only, by a TCP connection within this time.
    Passive(Duration),
}

impl Spec {
    /// What a pool's policy asks for.
    pub fn of(pool: &policy::Pool, via: Option<Via>) -> Self {
        match &pool.health {
            Some(health) => Self::Active(health.clone(), via),
            None => Self::Passive(pool.timeouts.connect),
        }
    }
}

/// What a check found, or a change without one.
#[derive(Debug)]
pub struct Finding {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The run of the machine that speaks; findings of earlier runs mean nothing.
    pub run: u64,
    /// The check's result and how long it took; `None` when the data plane's report changed the
    /// state.
    pub check: Option<(Result<(), String>, Duration)>,
    /// The new health, if it changed.
    pub became: Option<Health>,
    /// Whether the endpoint does not even take connections, if the check has found that out.
    pub refuses: Option<bool>,
}

/// All machines of the process.
#[derive(Debug)]
pub struct Checker {
    running: HashMap<EndpointId, Running>,
    findings: mpsc::Sender<Finding>,
    runs: u64,
    random: SplitMix,
}

impl Checker {
    /// Findings are sent there.
    pub fn new(findings: mpsc::Sender<Finding>, seed: u64) -> Self {
        Self {
            running: HashMap::new(),
            findings,
            runs: 0,
            random: SplitMix::new(seed),
        }
    }

    /// Checks these endpoints and no others. A machine whose endpoint and spec stayed goes on
    /// undisturbed; a changed spec begins a new one that starts from the known health.
    pub fn update(&mut self, wanted: Vec<(Arc<Endpoint>, Spec)>) {
        let mut kept = HashMap::with_capacity(wanted.len());
        let mut place = 0;
        for (endpoint, spec) in wanted {
            let id = endpoint.id;
            let running = match self.running.remove(&id) {
                Some(running) if running.spec == spec => running,
                _ => {
                    place += 1;
                    self.start(endpoint, spec, place)
                }
            };
            kept.insert(id, running);
        }
        self.running = kept;
    }

    /// Tells the endpoint's machine that the data plane could not connect.
    pub fn trouble(&self, id: EndpointId) {
        if let Some(running) = self.running.get(&id) {
            // A full channel holds troubles already.
            let _ = running.troubles.try_send(());
        }
    }

    /// Whether a finding comes from a machine that still runs.
    pub fn is_current(&self, finding: &Finding) -> bool {
        self.running
            .get(&finding.endpoint)
            .is_some_and(|running| running.run == finding.run)
    }

    fn start(&mut self, endpoint: Arc<Endpoint>, spec: Spec, place: u32) -> Running {
        let now = Instant::now();
        let seed = self.random.next_u64();
        let known = endpoint.health();
        let (machine, check, port, via) = match &spec {
            Spec::Active(health, via) => {
                let rhythm = Rhythm::from(health);
                let first = now + (STEP * place).min(rhythm.interval);
                let machine = Active::new(rhythm, known, first, seed);
                let (check, port) = (health.check.clone(), health.port);
                (Machine::Active(machine), check, port, *via)
            }
            Spec::Passive(timeout) => {
                let machine = Passive::new(*timeout, known, now, seed);
                (Machine::Passive(machine), Check::Tcp, None, None)
            }
        };
        self.runs += 1;
        let run = self.runs;
        let (troubles, receiver) = mpsc::channel(1);
        let findings = self.findings.clone();
        let drive = Drive {
            asked: asked(&endpoint.address, port),
            via: via.map(|via| port.map_or(via, |port| via.at(port))),
            elsewhere: port.is_some(),
            endpoint,
            check,
            run,
            machine,
            troubles: receiver,
            findings,
        };
        Running {
            spec,
            run,
            troubles,
            task: tokio::spawn(drive.run()),
        }
    }
}

#[derive(Debug)]
struct Running {
    spec: Spec,
    run: u64,
    troubles: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task of one machine.
struct Drive {
    endpoint: Arc<Endpoint>,
    /// Where checks ask.
    asked: Address,
    /// And by which way.
    via: Option<Via>,
    /// That is not where requests go.
    elsewhere: bool,
    check: Check,
    run: u64,
    machine: Machine,
    troubles: mpsc::Receiver<()>,
    findings: mpsc::Sender<Finding>,
}

impl Drive {
    async fn run(mut self) {
        if self.machine.health() != self.endpoint.health() {
            let first = self.finding(None, Some(self.machine.health()), None);
            if self.findings.send(first).await.is_err() {
                return;
            }
        }
        while let Some(input) = self.wait().await {
            let actions = self.machine.handle(Instant::now(), input);
            let probe = actions.contains(&Action::Probe);
            self.report(&actions, None, false).await;
            if probe && !self.probe().await {
                return;
            }
        }
    }

    /// The next input while no probe is under way; `None` when nobody needs this task any more.
    async fn wait(&mut self) -> Option<Input> {
        let deadline = self.machine.deadline();
        tokio::select! {
            trouble = self.troubles.recv() => trouble.map(|()| Input::Trouble),
            () = until(deadline) => Some(Input::Due),
        }
    }

    /// One probe, to its end; `false` when nobody needs this task any more.
    async fn probe(&mut self) -> bool {
        let (asked, via, check) = (self.asked.clone(), self.via, self.check.clone());
        let started = Instant::now();
        let progress = Arc::new(Progress::default());
        let (noted, endpoint) = (progress.clone(), self.endpoint.clone());
        let mut probe = Box::pin(async move {
            let tls = endpoint.tls.side();
            probe::run(
                (&asked, via),
                tls.as_deref(),
                &check,
                &endpoint.load,
                &noted,
            )
            .await
        });
        loop {
            let deadline = self.machine.deadline();
            let (input, result) = tokio::select! {
                result = &mut probe => match result {
                    Ok(()) => (Input::Passed, Some(Ok(()))),
                    Err(error) => (Input::Failed, Some(Err(error))),
                },
                trouble = self.troubles.recv() => match trouble {
                    Some(()) => (Input::Trouble, None),
                    None => return false,
                },
                () = until(deadline) => (Input::Due, None),
            };
            let actions = self.machine.handle(Instant::now(), input);
            let abandoned = actions.contains(&Action::Abandon);
            let ended = result.is_some() || abandoned;
            let result =
                result.or_else(|| abandoned.then(|| Err(progress.lacks().unwrap_or_else(silent))));
            let check = result.map(|result| (result, started.elapsed()));
            self.report(&actions, check, progress.is_connected()).await;
            if ended {
                return true;
            }
        }
    }

    async fn report(
        &self,
        actions: &[Action],
        check: Option<(Result<(), String>, Duration)>,
        connected: bool,
    ) {
        let became = actions.iter().find_map(|action| match action {
            Action::Became { to, .. } => Some(*to),
            _ => None,
        });
        if check.is_some() || became.is_some() {
            let refuses = check.as_ref().and_then(|(result, _)| match result {
                Ok(()) => Some(false),
                Err(_) if self.elsewhere => None,
                Err(_) => Some(!connected),
            });
            let finding = self.finding(check, became, refuses);
            let _ = self.findings.send(finding).await;
        }
    }

    fn finding(
        &self,
        check: Option<(Result<(), String>, Duration)>,
        became: Option<Health>,
        refuses: Option<bool>,
    ) -> Finding {
        Finding {
            endpoint: self.endpoint.id,
            run: self.run,
            check,
            became,
            refuses,
        }
    }
}

fn silent() -> String {
    "no answer in time".to_owned()
}

/// The endpoint, or another port of its host.
fn asked(address: &Address, port: Option<u16>) -> Address {
    match (address, port) {
        (Address::Tcp(socket), Some(port)) => Address::Tcp((socket.ip(), port).into()),
        (address, _) => address.clone(),
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(interval: u64) -> policy::Health {
        policy::Health {
            check: Check::Tcp,
            port: None,
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(500),
            fall: 1,
            rise: 1,
            jitter: 0.0,
        }
    }

    fn endpoint(address: std::net::SocketAddr) -> Arc<Endpoint> {
        Arc::new(Endpoint::new(
            1,
            "p".into(),
            "b".into(),
            Address::Tcp(address),
        ))
    }

    #[tokio::test]
    async fn a_listening_endpoint_comes_up_and_a_closed_one_goes_down() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let endpoint = endpoint(listener.local_addr().expect("bound"));
        let (sender, mut findings) = mpsc::channel(8);
        let mut checker = Checker::new(sender, 1);
        checker.update(vec![(endpoint.clone(), Spec::Active(health(50), None))]);
        assert_eq!(
            findings.recv().await.expect("a finding").became,
            Some(Health::Up)
        );
        endpoint.set_health(Health::Up);
        drop(listener);
        let down = findings.recv().await.expect("a finding");
        assert_eq!(down.became, Some(Health::Down));
        assert!(down.check.is_some_and(|(result, _)| result.is_err()));
    }

    #[tokio::test]
    async fn a_changed_spec_begins_a_new_run_that_keeps_the_known_health() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let endpoint = endpoint(listener.local_addr().expect("bound"));
        let (sender, mut findings) = mpsc::channel(8);
        let mut checker = Checker::new(sender, 1);
        checker.update(vec![(endpoint.clone(), Spec::Active(health(60_000), None))]);
        let first = findings.recv().await.expect("a finding");
        endpoint.set_health(Health::Up);
        checker.update(vec![(endpoint.clone(), Spec::Active(health(60_000), None))]);
        assert!(checker.is_current(&first), "nothing changed");
        checker.update(vec![(endpoint.clone(), Spec::Active(health(30_000), None))]);
        assert!(!checker.is_current(&first));
        let second = findings.recv().await.expect("a finding");
        assert!(checker.is_current(&second));
        assert_eq!(second.became, None, "it was up and stays up");
    }

    #[tokio::test]
    async fn an_endpoint_without_checks_is_up_at_once_and_probed_after_trouble() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let endpoint = endpoint(listener.local_addr().expect("bound"));
        let (sender, mut findings) = mpsc::channel(8);
        let mut checker = Checker::new(sender, 1);
        checker.update(vec![(
            endpoint.clone(),
            Spec::Passive(Duration::from_secs(1)),
        )]);
        assert_eq!(
            findings.recv().await.expect("a finding").became,
            Some(Health::Up)
        );
        endpoint.set_health(Health::Up);
        checker.trouble(endpoint.id);
        assert_eq!(
            findings.recv().await.expect("a finding").became,
            Some(Health::Down)
        );
        let back = findings.recv().await.expect("a finding");
        assert_eq!(
            (back.became, back.check.is_some()),
            (Some(Health::Up), true)
        );
    }
}
