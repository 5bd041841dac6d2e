use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use pointsman::balance::{self, Candidate, Choice, Memory, Tried};
use pointsman::endpoint::{Address, Endpoint, InFlight};
use pointsman_config::policy::Balance;

use crate::node::{Next, Node, Time};
use crate::workload::{Random, Workload};
use crate::{HIGH, LOW};

/// Requests until the caches are full.
const WARM_UP: u64 = 150_000;

/// Requests that are counted.
const COUNTED: u64 = 300_000;

/// What came of one run.
pub(crate) struct Outcome {
    /// Requests per second.
    pub(crate) throughput: f64,
    /// The part of the requests whose file was in the cache.
    pub(crate) hits: f64,
    /// Requests under way at one node at most.
    pub(crate) most: u32,
    /// Requests under way at the busiest node over those at all on average, on average over time.
    pub(crate) imbalance: f64,
}

/// Serves the workload with so many nodes behind this policy. The front end lets in as many requests
/// as the paper's: one more comes as soon as one is answered.
pub(crate) fn run(workload: &Workload, policy: &Balance, nodes: usize) -> Outcome {
    let mut cluster = Cluster::new(workload, policy, nodes);
    let admitted = (nodes as u64 - 1) * u64::from(HIGH) + u64::from(LOW) - 1;
    for _ in 0..admitted {
        cluster.begin(0);
    }
    cluster.serve(WARM_UP);
    let began = cluster.forget();
    let ended = cluster.serve(COUNTED);
    cluster.outcome(ended - began)
}

struct Cluster<'a> {
    workload: &'a Workload,
    candidates: Vec<Candidate>,
    policy: Box<dyn balance::Balance>,
    nodes: Vec<Node>,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    /// Of each request: its node, its file, its place among those under way.
    requests: HashMap<u64, (usize, usize, InFlight)>,
    random: Random,
    begun: u64,
    now: Time,
    most: u32,
    imbalance: f64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Connected,
    Read,
    Answered,
}

impl<'a> Cluster<'a> {
    fn new(workload: &'a Workload, policy: &Balance, nodes: usize) -> Self {
        let candidate = |id: usize| Candidate {
            endpoint: Arc::new(Endpoint::new(
                id as u32,
                "app".into(),
                format!("node-{id}"),
                Address::Tcp(([10, 0, 0, id as u8], 80).into()),
            )),
            weight: 1,
        };
        let candidates: Vec<_> = (0..nodes).map(candidate).collect();
        Self {
            workload,
            policy: balance::build(policy, &candidates, &Memory::default()),
            candidates,
            nodes: (0..nodes).map(|_| Node::new()).collect(),
            events: BinaryHeap::new(),
            requests: HashMap::new(),
            random: Random(7),
            begun: 0,
            now: 0,
            most: 0,
            imbalance: 0.0,
        }
    }

    /// A new request comes in.
    fn begin(&mut self, now: Time) {
        let file = self.workload.next(&mut self.random);
        let tried = Tried::default();
        let choice = Choice {
            cursor: self.begun,
            entropy: self.random.bits(),
            hash: Some(self.workload.hash(file)),
            now: now / 1000,
            tried: &tried,
        };
        let place = self.policy.pick(&self.candidates, &choice);
        let place = place.expect("no node was tried");
        let entered = self.candidates[place].endpoint.enter();
        self.watch(place);
        let connected = self.nodes[place].accept(now);
        self.requests.insert(self.begun, (place, file, entered));
        self.events
            .push(Reverse((connected, self.begun, Event::Connected)));
        self.begun += 1;
    }

    fn watch(&mut self, place: usize) {
        let loads = self.candidates.iter().map(|one| one.endpoint.in_flight());
        let busiest = loads.clone().max().unwrap_or(0);
        let mean = f64::from(loads.sum::<u32>()) / self.candidates.len() as f64;
        self.imbalance += f64::from(busiest) / mean;
        self.most = self.most.max(self.candidates[place].endpoint.in_flight());
    }

    /// Until so many requests are answered; when that is.
    fn serve(&mut self, count: u64) -> Time {
        let mut answered = 0;
        while answered < count
            && let Some(Reverse((now, request, event))) = self.events.pop()
        {
            self.now = now;
            let Some((place, file, _)) = self.requests.get(&request) else {
                continue;
            };
            let (place, file) = (*place, *file);
            let (node, size) = (&mut self.nodes[place], self.workload.size(file));
            match event {
                Event::Connected => match node.look_up(now, request, file, size) {
                    Next::Answered(at) => self.events.push(Reverse((at, request, Event::Answered))),
                    Next::Read(at) => self.events.push(Reverse((at, request, Event::Read))),
                    Next::Waits => {}
                },
                Event::Read => {
                    let answers = node.read(now, file, size).into_iter();
                    self.events
                        .extend(answers.map(|(who, at)| Reverse((at, who, Event::Answered))));
                }
                Event::Answered => {
                    self.requests.remove(&request);
                    answered += 1;
                    self.begin(now);
                }
            }
        }
        self.now
    }

    /// Counts anew from now on.
    fn forget(&mut self) -> Time {
        for node in &mut self.nodes {
            (node.hits, node.lookups) = (0, 0);
        }
        (self.most, self.imbalance) = (0, 0.0);
        self.now
    }

    fn outcome(&self, took: Time) -> Outcome {
        let hits: u64 = self.nodes.iter().map(|node| node.hits).sum();
        let lookups: u64 = self.nodes.iter().map(|node| node.lookups).sum();
        Outcome {
            throughput: COUNTED as f64 / took as f64 * 1e6,
            hits: hits as f64 / lookups as f64,
            most: self.most,
            imbalance: self.imbalance / COUNTED as f64,
        }
    }
}
