//! The load, and what it costs.

use std::fmt;
use std::fs;

use pointsman_deploy::lab::{Host, INTERFACE};
use serde_json::Value;

use crate::stage::Stage;

/// Kernel ticks per second, as in /proc/stat: 100 on every architecture of Linux that matters.
const TICKS: f64 = 100.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Connections,
    Downloads,
}

impl Load {
    pub const ALL: [Load; 2] = [Load::Connections, Load::Downloads];

    pub fn unit(self) -> &'static str {
        match self {
            Load::Connections => "connections/s",
            Load::Downloads => "MB/s",
        }
    }

    pub fn measure(self, stage: &Stage, seconds: u64) -> Sample {
        let duration = format!("-d{seconds}");
        let mut args = vec!["-t1", &duration];
        let path = match self {
            Load::Connections => {
                args.extend(["-c64", "-H", "Connection: close"]);
                "/"
            }
            Load::Downloads => {
                args.push("-c8");
                "/10"
            }
        };
        let url = format!("http://{}{path}", stage.target);
        args.push(&url);
        let (busy, sent) = (busy(), sent(&stage.switch));
        let told = stage.client.run("wrk", &args);
        let (busy, sent) = (self::busy() - busy, self::sent(&stage.switch) - sent);
        let requests = number_before(&told, " requests in").max(1.0);
        let rate = requests / seconds as f64;
        let bytes = requests * (10 << 20) as f64;
        Sample {
            rate: match self {
                Load::Connections => rate,
                Load::Downloads => rate * (10 << 20) as f64 / 1e6,
            },
            micros: busy / requests * 1e6,
            carried: match self {
                Load::Connections => 0.0,
                Load::Downloads => sent as f64 / bytes,
            },
            errors: told
                .lines()
                .find(|line| line.contains("Socket errors"))
                .map(str::to_owned),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Load::Connections => "New connections, some bytes each",
            Load::Downloads => "Files of 10 MiB",
        })
    }
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Connections or megabytes per second.
    pub rate: f64,
    /// CPU of the whole machine for each connection or file, in microseconds.
    pub micros: f64,
    /// Bytes that the switch has sent, of those that were delivered.
    pub carried: f64,
    errors: Option<String>,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0}/s {:.0} us {:.2} %",
            self.rate,
            self.micros,
            self.carried * 100.0
        )?;
        self.errors
            .iter()
            .try_for_each(|errors| write!(f, " ({})", errors.trim()))
    }
}

/// Seconds that the processors have worked.
fn busy() -> f64 {
    let text = fs::read_to_string("/proc/stat").expect("it is Linux");
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq
    let of = |place: usize| ticks.get(place).copied().unwrap_or_default();
    (of(0) + of(1) + of(2) + of(5) + of(6)) / TICKS
}

fn sent(host: &Host) -> u64 {
    let link = host.ip(&format!("-s -j link show {INTERFACE}"));
    let link: Value = serde_json::from_str(&link).expect("ip -j prints JSON");
    link[0]["stats64"]["tx"]["bytes"]
        .as_u64()
        .unwrap_or_default()
}

fn number_before(text: &str, words: &str) -> f64 {
    let end = text.find(words).unwrap_or(0);
    let word = text[..end].split_whitespace().next_back();
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}
