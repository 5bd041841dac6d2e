//! Measures what a switch of packets costs beside proxies, before the same servers.
//!
//! ```text
//! cargo run --release -p pointsman-deploy --example direct -- [--rounds 3] [--seconds 4] \
//!     [--servers 3]
//! ```
//!
//! A client, a switch and up to three nginx servers, each in a namespace of its own on one bridge. In each
//! round everybody takes a turn: no switch at all (the client asks one server), Pointsman with
//! `forward = "direct"`, nftlb with nftables' own direct return, HAProxy in TCP mode and nginx's stream
//! module with one thread each. The load
//! is that of wrk: new connections (64 at once, some bytes each), and files of 10 MiB (8 kept
//! connections). With `--servers 1` everybody has the one that is asked without a switch: more of them
//! cost more of the caches. CPU is that of the whole machine, without what the hypervisor took.

#![allow(clippy::print_stdout, reason = "the table is for whoever started this")]
#![allow(clippy::print_stderr, reason = "so is how far it has come")]

mod load;
mod stage;

use std::process::ExitCode;

use load::{Load, Sample};
use pointsman_deploy::lab::Lab;
use stage::{Stage, Who};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, usual: u64| {
        let place = args.iter().position(|arg| arg == name);
        let value = place.and_then(|place| args.get(place + 1)?.parse().ok());
        value.unwrap_or(usual)
    };
    let (rounds, seconds) = (number("--rounds", 3), number("--seconds", 4));
    let servers = number("--servers", 3).clamp(1, 3) as u8;
    if let Err(why) = Lab::with(&["nginx", "haproxy", "nftlb", "wrk"]) {
        eprintln!("this cannot be measured here: {why}");
        return ExitCode::FAILURE;
    }
    let mut samples: Vec<(Who, Load, Sample)> = Vec::new();
    for round in 1..=rounds {
        for who in Who::ALL {
            let stage = Stage::new(who, servers);
            for load in Load::ALL {
                let sample = load.measure(&stage, seconds);
                eprintln!("round {round} {who} {load}: {sample}");
                samples.push((who, load, sample));
            }
        }
    }
    for load in Load::ALL {
        print(load, &samples);
    }
    ExitCode::SUCCESS
}

/// A table of medians.
fn print(load: Load, samples: &[(Who, Load, Sample)]) {
    println!(
        "\n{load}\n\n| | {} | CPU us each | above no switch | sent by the switch |",
        load.unit()
    );
    println!("|---|---:|---:|---:|---:|");
    let of = |who: Who, figure: fn(&Sample) -> f64| {
        let own = samples.iter().filter(|one| one.0 == who && one.1 == load);
        median(own.map(|one| figure(&one.2)).collect())
    };
    let without = of(Who::Nobody, |sample| sample.micros);
    for who in Who::ALL {
        let micros = of(who, |sample| sample.micros);
        println!(
            "| {who} | {:.0} | {micros:.0} | {:.0} | {:.1} % |",
            of(who, |sample| sample.rate),
            micros - without,
            of(who, |sample| sample.carried) * 100.0,
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
