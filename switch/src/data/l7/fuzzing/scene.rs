//! A listener that trusts nobody, one that trusts its peer, and two routes.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use pointsman_config::policy::Policy;

use crate::data::l7::{ConnInfo, Secured};
use crate::snapshot::{Frame, Ids, Route, RouteTable, Snapshot};

/// The peer's address.
pub const PEER: &str = "192.0.2.7";

const POLICY: &str = r#"
[listener.outer]
bind = "127.0.0.1:1"

[listener.inner]
bind = "127.0.0.1:2"
trusted = ["192.0.2.0/24"]

[[route]]
pool = "app"

[[route]]
match = { path = "/api/*" }
pool = "app"
rewrite = { prefix = "/v2" }
request_headers = { set = { x-from = "switch" }, add = { x-more = "1" }, remove = ["x-gone"] }
response_headers = { set = { x-frame-options = "DENY" }, remove = ["server"] }

[pool.app]
backends = ["127.0.0.1:3"]
"#;

struct NoIds;

impl Ids for NoIds {
    fn listener(&self, _: &str) -> u32 {
        0
    }

    fn route(&self, _: &str) -> u32 {
        0
    }

    fn pool(&self, _: &str) -> u32 {
        0
    }
}

/// What requests meet.
pub struct Scene {
    snapshot: Snapshot,
    /// Connections that are not trusted and trusted.
    pub conns: [ConnInfo; 2],
}

impl Scene {
    fn new() -> Self {
        let policy = Policy::from_toml(POLICY, Path::new("scene.toml"));
        let policy = policy.unwrap_or_else(|report| panic!("{}", report.render_text(false)));
        let frame = Frame::new(Arc::new(policy), &Default::default(), &NoIds, None);
        let conns = [0, 1].map(|place| ConnInfo {
            secured: Secured::default(),
            listener: frame.listeners()[place].clone(),
            peer: IpAddr::from([192, 0, 2, 7]),
            peer_text: PEER.to_owned(),
            since: std::time::Instant::now(),
            scheme: "https",
            asked: 0,
        });
        let snapshot = frame.snapshot(0, vec![Vec::new()], None);
        Self { snapshot, conns }
    }

    /// The table of routes.
    pub fn table(&self) -> &RouteTable {
        &self.snapshot.routes
    }

    /// Every route.
    pub fn routes(&self) -> &[Route] {
        &self.snapshot.routes.routes
    }
}

/// Gives the scene, which each thread builds once.
pub fn with<T>(act: impl FnOnce(&Scene) -> T) -> T {
    thread_local! {
        static SCENE: OnceCell<Scene> = const { OnceCell::new() };
    }
    SCENE.with(|scene| act(scene.get_or_init(Scene::new)))
}
