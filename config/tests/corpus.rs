//! The seeds of the fuzzer `fuzz/fuzz_targets/config.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

mod answer;

#[test]
fn every_file_of_the_corpus_gets_an_answer_soon() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/config");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let began = Instant::now();
        answer::answer(&text);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{path:?} took {took:?}");
        count += 1;
    }
    assert!(count >= 10, "the corpus is too small");
}
