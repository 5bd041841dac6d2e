//! Whatever a file holds: an answer, no panic, bounded time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use pointsman_config::policy::Policy;
use pointsman_config::value::{
    format_byte_rate, format_duration, format_share, format_size, parse_byte_rate, parse_duration,
    parse_share, parse_size,
};
use proptest::prelude::*;

mod answer;
use answer::answer;

const VALID: [&str; 9] = [
    include_str!("accepted/full.toml"),
    include_str!("accepted/inheritance.toml"),
    include_str!("accepted/matches.toml"),
    include_str!("accepted/tcp.toml"),
    include_str!("accepted/contact.toml"),
    include_str!("accepted/stay-and-find.toml"),
    include_str!("refused/bad-values.toml"),
    include_str!("refused/contact.toml"),
    include_str!("refused/stay-and-find.toml"),
];

/// Pieces that are likely to lead somewhere.
const PIECES: [&str; 16] = [
    "[",
    "]]",
    "{",
    "}",
    "\"",
    "'''",
    "=",
    "\n",
    "${",
    "}",
    "[[route]]\n",
    ".",
    "\u{feff}",
    "\0",
    "pool",
    "é",
];

proptest! {
    #[test]
    fn arbitrary_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, &bytes).unwrap();
        let report = Policy::from_path(&path).expect_err("no listener comes about by chance");
        prop_assert!(report.has_errors());
        answer(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mutated_policies_get_an_answer(
        which in 0..VALID.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, 0..PIECES.len()), 1..6),
    ) {
        let mut text = VALID[which].to_owned();
        for (at, length, piece) in cuts {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, PIECES[piece]);
        }
        answer(&text);
    }

    #[test]
    fn durations_are_read_as_they_are_written(milliseconds in 0..u64::MAX) {
        let duration = Duration::from_millis(milliseconds);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn sizes_and_rates_are_read_as_they_are_written(bytes in any::<u64>(), shift in 0..64u32) {
        let bytes = bytes >> shift;
        prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        prop_assert_eq!(parse_byte_rate(&format_byte_rate(bytes)), Ok(bytes));
    }

    #[test]
    fn shares_are_read_as_they_are_written(share in 0.0..=1.0f64) {
        let read = parse_share(&format_share(share)).unwrap();
        prop_assert!((read - share).abs() < 1e-6);
    }

    #[test]
    fn small_languages_never_panic(text in "\\PC{0,40}|[0-9a-zA-Z.:/*%\\[\\]-]{0,40}") {
        let _ = parse_duration(&text);
        let _ = parse_size(&text);
        let _ = parse_byte_rate(&text);
        let _ = parse_share(&text);
        let _ = pointsman_config::value::parse_bytes(&text);
        let _ = pointsman_config::value::parse_bind(&text);
        let _ = pointsman_config::value::parse_backend(&text);
        let _ = pointsman_config::value::parse_host(&text);
        let _ = pointsman_config::value::parse_path_pattern(&text);
        let _ = pointsman_config::value::parse_network(&text);
        let _ = pointsman_config::value::parse_interface_address(&text);
        let _ = pointsman_config::value::parse_interface(&text);
        let _ = pointsman_config::value::parse_ip(&text);
        let _ = pointsman_config::value::parse_statuses(&text);
        let _ = pointsman_config::value::parse_value_pattern(&text);
    }
}

#[test]
fn hostile_files_are_answered_in_bounded_time() {
    let routes = "[[route]]\npool = \"p\"\n".repeat(5000);
    let keys: String = (0..20_000)
        .map(|n| format!("key{n} = \"${{UNSET_{n}}}\"\n"))
        .collect();
    let headers: String = (0..10_000).map(|n| format!("h{n} = \"1\",")).collect();
    let contacts = "[[contact]]\naddress = \"192.0.2.1/24\"\n".repeat(50_000);
    let peers = "\"10.0.0.11\",".repeat(50_000);
    let files = [
        format!("{contacts}[defaults.contact]\npeers = [{peers}]"),
        routes,
        keys,
        format!("[[route]]\nmatch = {{ header = {{ {headers} }} }}"),
        "x =\n".repeat(20_000),
        format!("{}b = 1\n", "a.".repeat(30)).repeat(2000),
        "[".repeat(1_000_000),
        format!("{}a = 1", "a.".repeat(1_000_000)),
        format!("a = {}", "{a=".repeat(300_000)),
    ];
    for file in files {
        let start = Instant::now();
        let report = Policy::from_toml(&file, Path::new("hostile.toml")).unwrap_err();
        assert!(report.problems.len() <= 1001);
        assert!(report.render_text(false).len() < 2_000_000);
        // Unoptimised and on a busy machine; each takes a few tens of milliseconds otherwise.
        assert!(start.elapsed() < Duration::from_secs(20), "{:.40}", file);
    }
}

#[test]
fn a_thousand_routes_and_pools_are_read() {
    let mut text = String::from("[listener.web]\nbind = \":8080\"\n");
    for n in 0..1000 {
        text.push_str(&format!(
            "[[route]]\nmatch = {{ host = \"h{n}.example\" }}\npool = \"p{n}\"\n\
             [pool.p{n}]\nbackends = [\"a{n}:1\"]\n"
        ));
    }
    let policy = Policy::from_toml(&text, Path::new("large.toml")).unwrap();
    assert_eq!((policy.routes.len(), policy.pools.len()), (1000, 1000));
    assert!(policy.warnings.is_empty());
}
