//! Agents, good and bad, over loopback connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use pointsman_backend::protocol::channel::{Channel, HANDSHAKE};
use pointsman_backend::protocol::ended::Ended;
use pointsman_backend::protocol::message::{
    MAX_MESSAGE, Mode, Register, Standing, ToAgent, ToSwitch,
};
use pointsman_backend::protocol::talk::{self, AgentTalk};
use pointsman_backend::protocol::wire::Wire;
use pointsman_config::policy::Policy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::{Agents, Registrar, prepare};
use crate::control::admin::Phase;
use crate::control::discovery::Source as _;
use crate::control::testing;

const SECRET: &str = "sixteen bytes or more";
const PATIENCE: Duration = Duration::from_secs(20);

type AgentWire = Wire<ToSwitch, ToAgent>;

/// A registrar that lets agents in, and where.
struct Scene {
    registrar: Registrar,
    address: SocketAddr,
    phases: watch::Sender<Phase>,
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn policy(port: u16, keys: &str, pools: &str) -> Policy {
    let text = format!(
        "[agents]\nlisten = \"127.0.0.1:{port}\"\nsecret = \"{SECRET}\"\n{keys}\n\
         [listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n\
         [[route]]\nmatch = {{ path = \"/x\" }}\npool = \"listed\"\n\
         [pool.listed]\nbackends = [\"127.0.0.1:9\"]\n{pools}\n"
    );
    Policy::from_toml(&text, std::path::Path::new("test.toml")).expect("the policy is right")
}

const POOL: &str = "[pool.app]\ndiscover = { agents = true }\n";

impl Scene {
    fn begin(keys: &str) -> Self {
        let port = free_port();
        let registrar = testing::registrar();
        registrar.commit(prepare(&policy(port, keys, POOL), None).unwrap());
        let (phases, seen) = watch::channel(Phase::Serves);
        tokio::spawn(registrar.clone().run(seen));
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Self {
            registrar,
            address,
            phases,
        }
    }

    /// The doors open with the first turn of the task.
    async fn connect(&self) -> TcpStream {
        self.connect_from(Ipv4Addr::LOCALHOST).await
    }

    async fn connect_from(&self, own: Ipv4Addr) -> TcpStream {
        for _ in 0..1000 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((own, 0).into()).unwrap();
            if let Ok(stream) = socket.connect(self.address).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nobody listens");
    }

    async fn agent(&self, secret: &str, register: Register) -> (AgentWire, Result<ToAgent, Ended>) {
        let stream = self.connect_from(Ipv4Addr::LOCALHOST).await;
        let talk = AgentTalk::opener(&talk::key(secret)).unwrap();
        let mut wire = Wire::new(stream, talk).unwrap();
        wire.say(&ToSwitch::Register(register)).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, wire.hear()).await;
        (wire, answer.expect("an answer"))
    }

    async fn member(&self, register: Register) -> AgentWire {
        let (wire, answer) = self.agent(SECRET, register).await;
        assert!(matches!(answer, Ok(ToAgent::Accepted(_))), "{answer:?}");
        wire
    }

    /// Name and weight of every server, once `holds` says that they are right.
    async fn wait_for(&self, what: &str, holds: impl Fn(&[(String, u32)]) -> bool) {
        for _ in 0..2000 {
            let list = self.registrar.roll().list("app").into_iter();
            let list: Vec<_> = list.map(|one| (one.name, one.weight)).collect();
            if holds(&list) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("in vain: {what}: {:?}", self.registrar.roll());
    }

    async fn wait_for_refused(&self, reason: &str, count: u32) {
        let series = format!("pointsman_agents_refused_total{{reason=\"{reason}\"}} {count}\n");
        for _ in 0..2000 {
            if self.registrar.0.hub.encode().contains(&series) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("in vain: {series}{}", self.registrar.0.hub.encode());
    }
}

fn register(name: &str, port: u16) -> Register {
    Register {
        version: "1".to_owned(),
        pool: "app".to_owned(),
        name: name.to_owned(),
        address: IpAddr::from([127, 0, 0, 1]),
        port,
        mode: Mode::Proxy,
        standing: standing(4, true),
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

async fn refusal(answer: Result<ToAgent, Ended>) -> String {
    match answer {
        Ok(ToAgent::Refused(refused)) => refused.reason,
        other => panic!("{other:?}"),
    }
}

/// Reads until the other side closes.
async fn closed(stream: &mut TcpStream) {
    let mut bytes = vec![];
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    let _ = read.await.expect("it is closed");
}

#[tokio::test]
async fn discovery_hears_who_comes_changes_and_goes() {
    let scene = Scene::begin("grace = \"0s\"");
    let mut source = Agents::new(scene.registrar.clone(), "app".to_owned());
    let mut wire = scene.member(register("one", 80)).await;
    let told = source.next().await.unwrap();
    assert_eq!((told[0].name.as_str(), told[0].weight), ("one", 4));
    wire.say(&ToSwitch::Update(standing(9, true)))
        .await
        .unwrap();
    assert_eq!(source.next().await.unwrap()[0].weight, 9);
    wire.say(&ToSwitch::Farewell).await.unwrap();
    assert_eq!(source.next().await.unwrap()[0].weight, 0);
    wire.close().await;
    assert_eq!(source.next().await, Ok(vec![]));
}

#[tokio::test]
async fn a_short_cut_moves_nothing_and_a_long_one_takes_the_server_out() {
    let scene = Scene::begin("grace = \"700ms\"");
    drop(scene.member(register("one", 80)).await);
    let lost = |list: &[(String, u32)]| list == [("one".to_owned(), 4)];
    scene.wait_for("it stays", lost).await;
    let again = scene.member(register("one", 80)).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    scene.wait_for("it is back", lost).await;
    drop(again);
    scene.wait_for("it is gone", <[_]>::is_empty).await;
    let metrics = scene.registrar.0.hub.encode();
    assert!(metrics.contains("pointsman_agent_losses_total{pool=\"app\"} 2"));
}

#[tokio::test]
async fn nobody_registers_an_address_that_is_not_his() {
    let scene = Scene::begin("addresses = [\"10.1.0.0/16\"]");
    for (address, refused) in [([10, 0, 0, 1], true), ([10, 1, 2, 3], false)] {
        let spoofed = Register {
            address: IpAddr::from(address),
            ..register("one", 80)
        };
        let (_wire, answer) = scene.agent(SECRET, spoofed).await;
        match refused {
            true => assert_eq!(refusal(answer).await, "foreign-address"),
            false => assert!(matches!(answer, Ok(ToAgent::Accepted(_)))),
        }
    }
    scene.wait_for_refused("foreign-address", 1).await;
}

#[tokio::test]
async fn pools_that_do_not_want_agents_get_none() {
    let scene = Scene::begin("");
    for (pool, reason) in [("none", "unknown-pool"), ("listed", "not-by-agents")] {
        let other = Register {
            pool: pool.to_owned(),
            ..register("one", 80)
        };
        let (_wire, answer) = scene.agent(SECRET, other).await;
        assert_eq!(refusal(answer).await, reason);
        scene.wait_for_refused(reason, 1).await;
    }
    let _one = scene.member(register("one", 80)).await;
    let (_wire, answer) = scene.agent(SECRET, register("one", 81)).await;
    assert_eq!(refusal(answer).await, "name-taken");
}

#[tokio::test]
async fn who_does_not_know_the_secret_learns_nothing() {
    let scene = Scene::begin("");
    let (_wire, answer) = scene
        .agent("another secret of length", register("one", 80))
        .await;
    assert!(matches!(answer, Err(Ended::Unauthentic)), "{answer:?}");
    scene.wait_for_refused("unauthentic", 1).await;

    let mut stream = scene.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    closed(&mut stream).await;
    scene.wait_for_refused("unauthentic", 2).await;
    assert!(scene.registrar.roll().list("app").is_empty());
}

#[tokio::test]
async fn a_network_that_is_not_allowed_is_shown_out() {
    let scene = Scene::begin("from = [\"127.0.0.2/32\"]");
    closed(&mut scene.connect().await).await;
    scene.wait_for_refused("stranger", 1).await;
}

/// Passes bytes on between an agent and the switch, and keeps what the agent has sent.
async fn recording(scene: &Scene) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut upstream = scene.connect().await;
    let task = tokio::spawn(async move {
        let (mut agent, _) = listener.accept().await.unwrap();
        let (mut said, mut one, mut other) = (vec![], [0; 4096], [0; 4096]);
        loop {
            tokio::select! {
                read = agent.read(&mut one) => match read.unwrap() {
                    0 => return said,
                    read => {
                        said.extend_from_slice(&one[..read]);
                        upstream.write_all(&one[..read]).await.unwrap();
                    }
                },
                read = upstream.read(&mut other) => match read.unwrap() {
                    0 => return said,
                    read => agent.write_all(&other[..read]).await.unwrap(),
                },
            }
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_registration_that_was_recorded_does_not_count_a_second_time() {
    let scene = Scene::begin("grace = \"0s\"");
    let (address, recorder) = recording(&scene).await;
    let talk = AgentTalk::opener(&talk::key(SECRET)).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut wire: AgentWire = Wire::new(stream, talk).unwrap();
    wire.say(&ToSwitch::Register(register("one", 80)))
        .await
        .unwrap();
    assert!(matches!(wire.hear().await, Ok(ToAgent::Accepted(_))));
    wire.say(&ToSwitch::Farewell).await.unwrap();
    while !matches!(wire.hear().await, Ok(ToAgent::Released)) {}
    wire.close().await;
    let said = recorder.await.unwrap();
    scene.wait_for("it has gone", <[_]>::is_empty).await;

    let mut replay = scene.connect().await;
    replay.write_all(&said).await.unwrap();
    closed(&mut replay).await;
    scene.wait_for_refused("unauthentic", 1).await;
    assert!(scene.registrar.roll().list("app").is_empty());
}

#[tokio::test]
async fn who_is_flooded_or_deceived_within_a_session_ends_it() {
    let scene = Scene::begin("");
    let mut wire = scene.member(register("one", 80)).await;
    while wire.say(&ToSwitch::Update(standing(1, true))).await.is_ok() {
        tokio::task::yield_now().await;
    }
    scene.wait_for_refused("flood", 1).await;

    let mut wire = scene.member(register("two", 81)).await;
    let second = ToSwitch::Register(register("three", 82));
    wire.say(&second).await.unwrap();
    scene.wait_for_refused("protocol", 1).await;
}

/// Somebody who knows the secret and seals whatever he likes, on a connection of his own.
struct Liar {
    channel: Channel,
    stream: TcpStream,
}

impl Liar {
    async fn connect(scene: &Scene) -> Self {
        let key = talk::key(SECRET);
        let (mut channel, hail) = Channel::initiator(&key, b"pointsman agent session 1").unwrap();
        let mut stream = scene.connect().await;
        stream.write_all(&hail).await.unwrap();
        let mut answer = [0; 2 + HANDSHAKE];
        stream.read_exact(&mut answer).await.unwrap();
        channel.shake(&answer[2..], &mut vec![]).unwrap();
        Self { channel, stream }
    }

    fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let mut frame = vec![];
        self.channel.seal(message, &mut frame).unwrap();
        frame
    }

    async fn say(&mut self, message: &[u8]) -> Vec<u8> {
        let frame = self.seal(message);
        self.stream.write_all(&frame).await.unwrap();
        frame
    }
}

#[tokio::test]
async fn what_is_oversized_or_no_registration_is_refused_though_the_secret_is_known() {
    let scene = Scene::begin("");
    let named = |name: &str| Register {
        name: name.to_owned(),
        ..register("one", 80)
    };
    let text = |register: Register| serde_json::to_vec(&ToSwitch::Register(register)).unwrap();
    let long = [text(register("one", 80)), vec![b' '; MAX_MESSAGE]].concat();
    let lies = [
        long,
        text(named("../one")),
        text(named(&"n".repeat(1000))),
        b"{".to_vec(),
        br#"{"type":"alive"}"#.to_vec(),
    ];
    for (count, lie) in (1..).zip(lies) {
        let mut liar = Liar::connect(&scene).await;
        liar.say(&lie).await;
        closed(&mut liar.stream).await;
        scene.wait_for_refused("protocol", count).await;
    }
    // Of a stranger, the length alone is enough.
    let mut stream = scene.connect().await;
    stream.write_all(&[0xff, 0xff]).await.unwrap();
    closed(&mut stream).await;
    scene.wait_for_refused("unauthentic", 1).await;
    assert!(scene.registrar.roll().list("app").is_empty());
}

#[tokio::test]
async fn a_frame_that_is_repeated_or_changed_within_a_session_ends_it() {
    let scene = Scene::begin("grace = \"0s\"");
    let text = serde_json::to_vec(&ToSwitch::Register(register("one", 80))).unwrap();
    for (count, repeated) in [(1, true), (2, false)] {
        let mut liar = Liar::connect(&scene).await;
        let frame = liar.say(&text).await;
        scene.wait_for("it is there", |list| list.len() == 1).await;
        let bad = match repeated {
            true => frame,
            false => {
                let mut changed = liar.seal(br#"{"type":"alive"}"#);
                changed[5] ^= 1;
                changed
            }
        };
        liar.stream.write_all(&bad).await.unwrap();
        scene.wait_for_refused("forged", count).await;
        scene.wait_for("it has gone", <[_]>::is_empty).await;
    }
}

#[tokio::test]
async fn a_handshake_may_not_take_long_and_few_at_a_time() {
    let scene = Scene::begin("");
    let mut idle = vec![];
    for _ in 0..9 {
        idle.push(scene.connect().await);
    }
    scene.wait_for_refused("full", 1).await;
    scene.wait_for_refused("late", 8).await;
    let _one = scene.member(register("one", 80)).await;
}

#[tokio::test]
async fn a_second_agent_for_the_same_server_takes_it_over() {
    let scene = Scene::begin("");
    let mut first = scene.member(register("one", 80)).await;
    let _second = scene.member(register("one", 80)).await;
    let end = loop {
        match first.hear().await.unwrap() {
            ToAgent::Alive => {}
            end => break end,
        }
    };
    assert_eq!(refusal(Ok(end)).await, "replaced");
    scene.wait_for("one is there", |list| list.len() == 1).await;
}

#[tokio::test]
async fn a_new_policy_holds_for_sessions_that_are_open() {
    let scene = Scene::begin("");
    let mut wire = scene.member(register("one", 80)).await;
    let port = scene.address.port();
    let other = policy(port, "", "[pool.app]\nbackends = [\"127.0.0.1:9\"]\n");
    let prepared = prepare(&other, Some(&scene.registrar)).unwrap();
    scene.registrar.commit(prepared);
    let end = loop {
        match wire.hear().await.unwrap() {
            ToAgent::Alive => {}
            end => break end,
        }
    };
    assert_eq!(refusal(Ok(end)).await, "not-by-agents");
    scene.wait_for("nobody is there", <[_]>::is_empty).await;
    let (_wire, answer) = scene.agent(SECRET, register("one", 80)).await;
    assert_eq!(refusal(answer).await, "not-by-agents");
}

#[tokio::test]
async fn at_a_handover_agents_are_sent_to_the_next_process_and_missed_by_none() {
    let scene = Scene::begin("");
    let mut wire = scene.member(register("one", 80)).await;
    let known = scene.registrar.roll().list("app");
    let next = testing::registrar();
    next.inherit("app", &known);
    let policy = policy(scene.address.port(), "grace = \"1s\"", POOL);
    next.commit(prepare(&policy, None).expect("both processes have the address"));
    let (_phases, seen) = watch::channel(Phase::Serves);
    tokio::spawn(next.clone().run(seen));
    scene.phases.send_replace(Phase::Ends { handed_over: true });
    while !matches!(wire.hear().await.unwrap(), ToAgent::Moved) {}
    let mut source = Agents::new(next.clone(), "app".to_owned());
    assert_eq!(source.next().await.unwrap().len(), 1, "before it is there");
    let scene = Scene {
        registrar: next,
        ..scene
    };
    let _again = scene.member(register("one", 80)).await;
    tokio::time::sleep(Duration::from_millis(2000)).await;
    scene
        .wait_for("it has stayed", |list| list.len() == 1)
        .await;
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_told_with_its_key() {
    let text = "[agents]\nlisten = \"192.0.2.1:9113\"\nsecret = \"sixteen bytes or more\"\n\
                [listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n";
    let policy = Policy::from_toml(&format!("{text}{POOL}"), std::path::Path::new("t.toml"));
    let told = prepare(&policy.unwrap(), None).unwrap_err();
    assert!(told.starts_with("agents.listen 192.0.2.1:9113: "), "{told}");
    assert!(told.contains("write an address of this host"), "{told}");
}
