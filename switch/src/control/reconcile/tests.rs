use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pointsman_config::policy::{BindAddr, PoolTls, Tls};

use super::*;
use crate::control::contact::desk::ContactParts;
use crate::control::contact::status::{Board, ContactEvent};
use crate::control::testing;
use crate::endpoint::Health;
use crate::metrics::Hub;
use crate::pulse::Pulses;
use crate::shared::tickets::TicketKeys;
use crate::snapshot::{ListenerSettings, Snapshot, Terminator};

#[derive(Debug, Default)]
struct Fake {
    full: AtomicBool,
    commits: AtomicUsize,
}

impl Listeners for Fake {
    type Prepared = ();

    fn tls(_: &Tls, _: &Arc<TicketKeys>) -> Result<Arc<Terminator>, String> {
        Err("no TLS here".to_owned())
    }

    fn client_tls(_: &PoolTls) -> Result<Arc<rustls::ClientConfig>, String> {
        Err("nobody speaks TLS here".to_owned())
    }

    fn prepare(&self, _: &[Arc<ListenerSettings>]) -> Result<(), String> {
        if self.full.load(Ordering::Relaxed) {
            Err("it is taken".to_owned())
        } else {
            Ok(())
        }
    }

    fn commit(&self, (): ()) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    fn set_max_connections(&self, _: usize) {}

    fn addresses(&self) -> Vec<(String, BindAddr)> {
        Vec::new()
    }

    fn ask_to_leave(&self, _: Duration) {}

    fn connections_at(&self, _: &[IpAddr]) -> usize {
        0
    }

    fn cut(&self, _: &[EndpointId]) {}

    fn pulses(&self) -> Arc<Pulses> {
        Pulses::new(0, Instant::now())
    }
}

fn reconciler(backends: &[&str]) -> (Reconciler<Fake>, Desk) {
    with_board(backends, None)
}

fn with_board(backends: &[&str], board: Option<Arc<Board>>) -> (Reconciler<Fake>, Desk) {
    let state = State::new(testing::loaded(backends), Hub::new(100));
    let source = Source::File("test.toml".into());
    let (_, events) = mpsc::channel(1);
    let contact = board.map(ContactParts::idle);
    Reconciler::new(
        state,
        Arc::default(),
        source,
        Arc::default(),
        events,
        (contact, testing::registrar(), Direct::idle()),
    )
}

fn members(snapshot: &Snapshot) -> Vec<(EndpointId, Health)> {
    let members = snapshot.pools[0].members.iter();
    members
        .map(|member| (member.endpoint.id, member.health))
        .collect()
}

#[tokio::test]
async fn a_burst_of_findings_makes_one_snapshot() {
    let backends: Vec<String> = (0..100).map(|n| format!("192.0.2.{n}:9")).collect();
    let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
    let (mut reconciler, _desk) = reconciler(&backends);
    reconciler.settle();
    let before = reconciler.state.snapshot();
    for (run, (endpoint, _)) in (1..).zip(members(&before)) {
        let check = Some((Ok(()), Duration::from_millis(1)));
        reconciler.finding(Finding {
            endpoint,
            run,
            check,
            became: Some(Health::Up),
            refuses: None,
        });
    }
    assert_eq!(reconciler.state.snapshot().generation, before.generation);
    reconciler.settle();
    let after = reconciler.state.snapshot();
    assert_eq!(after.generation, before.generation + 1);
    assert!(
        members(&after)
            .iter()
            .all(|(_, health)| *health == Health::Up)
    );
    assert_eq!(
        reconciler.readiness.check(),
        Ok(()),
        "the first round is over"
    );
}

#[tokio::test]
async fn a_finding_of_an_earlier_run_means_nothing() {
    let (mut reconciler, _desk) = reconciler(&["192.0.2.1:9"]);
    reconciler.settle();
    let (endpoint, _) = members(&reconciler.state.snapshot())[0];
    let stale = Finding {
        endpoint,
        run: 0,
        check: None,
        became: Some(Health::Down),
        refuses: None,
    };
    reconciler.finding(stale);
    reconciler.settle();
    assert_eq!(
        members(&reconciler.state.snapshot()),
        [(endpoint, Health::Starting)]
    );
}

#[tokio::test]
async fn a_policy_whose_addresses_cannot_be_had_changes_nothing() {
    let (reconciler, desk) = reconciler(&["192.0.2.1:9"]);
    let (fake, publisher) = (reconciler.listeners.clone(), reconciler.state.source());
    let reader = crate::snapshot::SnapshotReader::new(publisher);
    let before = reader.load();
    tokio::spawn(reconciler.run());
    fake.full.store(true, Ordering::Relaxed);
    let refused = desk.apply(testing::loaded(&["192.0.2.2:9"])).await;
    assert!(matches!(refused, Err(Refused::Bind(why)) if why == "it is taken"));
    assert!(Arc::ptr_eq(&before, &reader.load()));
    assert_eq!(fake.commits.load(Ordering::Relaxed), 0);
    fake.full.store(false, Ordering::Relaxed);
    desk.apply(testing::loaded(&["192.0.2.2:9"]))
        .await
        .expect("now they can be had");
    assert!(
        !Arc::ptr_eq(&before, &reader.load()),
        "whoever asked sees the new one"
    );
    assert_eq!(fake.commits.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_status_tells_what_the_snapshot_holds() {
    let (reconciler, desk) = reconciler(&["192.0.2.1:9", "nowhere.invalid:9"]);
    tokio::spawn(reconciler.run());
    let status = desk.status().await.expect("it runs");
    let backends = &status.pools[0].backends;
    assert_eq!(backends[0].address.as_deref(), Some("192.0.2.1:9"));
    assert_eq!(
        (backends[1].address.as_deref(), backends[1].state.as_str()),
        (None, "unresolved")
    );
    assert_eq!(status.contact, None);
}

#[tokio::test]
async fn the_status_tells_what_is_on_the_board_of_the_contact_addresses() {
    let board = Arc::new(Board::new("nice"));
    let (reconciler, desk) = with_board(&["192.0.2.1:9"], Some(board.clone()));
    tokio::spawn(reconciler.run());
    board.tell(ContactEvent::now(
        "conflict",
        None,
        "two hold it".to_owned(),
    ));
    let status = desk.status().await.expect("it runs");
    assert_eq!(status.contact.as_ref(), Some(&*board.read()));
    let json = serde_json::to_value(&status).expect("it is plain data");
    assert_eq!(json["contact"]["scheduling"], "nice");
    assert_eq!(json["contact"]["events"][0]["text"], "two hold it");
}
