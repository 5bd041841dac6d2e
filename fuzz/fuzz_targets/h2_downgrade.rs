#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pointsman::data::l7::fuzzing::h2_downgrade(bytes));
