#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../config/tests/answer/mod.rs"]
mod answer;

fuzz_target!(|bytes: &[u8]| answer::answer(&String::from_utf8_lossy(bytes)));
