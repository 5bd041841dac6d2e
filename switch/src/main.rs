//! `pointsman`, the program.

use std::process::ExitCode;

use clap::Parser as _;
use pointsman::{app, args::Args};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    app::main(Args::parse()).into()
}
