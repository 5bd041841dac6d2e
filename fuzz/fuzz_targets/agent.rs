#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pointsman_backend::protocol::fuzzing::agent(bytes));
