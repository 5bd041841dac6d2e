//! A switch, its two backends, and the Prometheus that scrapes it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pointsman_deploy::lab::program;
use serde_json::Value;
use tempfile::TempDir;

/// Ends its processes when it is dropped.
pub struct Scene {
    processes: Vec<Child>,
    listen: u16,
    prometheus: u16,
    place: TempDir,
}

impl Scene {
    /// `None`: there is no Prometheus here.
    pub fn begin() -> Option<Self> {
        Command::new("prometheus")
            .arg("--version")
            .output()
            .ok()
            .filter(|version| version.status.success())?;
        let place = tempfile::tempdir().unwrap();
        let [one, two, listen, admin, prometheus] = free_ports();
        let mut scene = Self {
            processes: Vec::new(),
            listen,
            prometheus,
            place,
        };
        for port in [one, two] {
            let listen = format!("127.0.0.1:{port}");
            scene.start(
                Command::new(program("pointsman-backend")).args(["serve", "--listen", &listen]),
            );
        }
        // Nobody collects at port 9; exemplars are there all the same.
        let policy = format!(
            "[trace]\nendpoint = \"http://127.0.0.1:9/v1/traces\"\nsample = \"100%\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n[listener.web]\nbind = \"127.0.0.1:{listen}\"\n\
             [[route]]\npool = \"app\"\n[pool.app]\n\
             backends = [\"127.0.0.1:{one}\", \"127.0.0.1:{two}\"]\n\
             health = {{ path = \"/\", interval = \"200ms\", fall = 2, rise = 1 }}\n"
        );
        let policy = scene.file("pointsman.toml", &policy);
        scene.start(Command::new(program("pointsman")).args(["run", &policy]));
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus/rules.yml");
        // Nobody waits for minutes in a test.
        let rules = fs::read_to_string(rules).unwrap();
        let rules = rules.replace("for: 1m\n", "for: 1s\n");
        scene.file("rules.yml", &rules);
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [rules.yml]\n\
             scrape_configs:\n- job_name: pointsman\n  static_configs:\n\
             \x20 - targets: [\"127.0.0.1:{admin}\"]\n"
        );
        let config = scene.file("prometheus.yml", &config);
        let data = scene.path("data");
        scene.start(Command::new("prometheus").args([
            format!("--config.file={config}"),
            format!("--storage.tsdb.path={data}"),
            "--enable-feature=exemplar-storage".to_owned(),
            format!("--web.listen-address=127.0.0.1:{prometheus}"),
        ]));
        Some(scene)
    }

    /// Requests through the switch; one that fails is none of this test's business.
    pub fn send_requests(&self, count: usize) {
        let url = format!("http://127.0.0.1:{}/[1-{count}]", self.listen);
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", &url]).status().unwrap();
    }

    /// What Prometheus finds now.
    ///
    /// # Panics
    /// It does not take the query.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let argument = format!("query={query}");
        let answer = self.ask("/api/v1/query", &["-G", "--data-urlencode", &argument]);
        let Some(answer) = answer else {
            return Vec::new();
        };
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// The ids of traces that Prometheus has for a query.
    pub fn traces(&self, query: &str) -> Vec<String> {
        let argument = format!("query={query}");
        // What was observed since the test began.
        let times = [
            "--data-urlencode",
            "start=1",
            "--data-urlencode",
            "end=9999999999",
        ];
        let mut more = vec!["-G", "--data-urlencode", &argument];
        more.extend(times);
        let answer = self.ask("/api/v1/query_exemplars", &more);
        let answer = answer.unwrap_or_default();
        let series = answer["data"].as_array().cloned().unwrap_or_default();
        let exemplars = series.iter().filter_map(|one| one["exemplars"].as_array());
        let trace = |one: &Value| Some(one["labels"]["trace_id"].as_str()?.to_owned());
        exemplars.flatten().filter_map(trace).collect()
    }

    /// Whether every rule has been evaluated without an error.
    pub fn rules_are_well(&self) -> bool {
        let rules = self.rules();
        !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok")
    }

    /// How many alerts of this name fire.
    pub fn alerts(&self, name: &str) -> usize {
        let rules = self.rules();
        let alerts = rules.iter().filter(|rule| rule["name"] == name);
        let alerts = alerts
            .filter_map(|rule| rule["alerts"].as_array())
            .flatten();
        alerts.filter(|alert| alert["state"] == "firing").count()
    }

    /// The first one.
    pub fn kill_a_backend(&mut self) {
        end(&mut self.processes[0]);
    }

    fn rules(&self) -> Vec<Value> {
        let answer = self.ask("/api/v1/rules", &[]).unwrap_or_default();
        let groups = answer["data"]["groups"].as_array().cloned();
        let groups = groups.unwrap_or_default();
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        rules.flatten().cloned().collect()
    }

    fn ask(&self, path: &str, more: &[&str]) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.prometheus);
        let mut curl = Command::new("curl");
        let answer = curl.args(["-s", &url]).args(more).output().unwrap();
        serde_json::from_slice(&answer.stdout).ok()
    }

    fn start(&mut self, command: &mut Command) {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        self.processes.push(quiet.spawn().unwrap());
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.processes.iter_mut().for_each(end);
    }
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn free_ports<const N: usize>() -> [u16; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}
