//! `pointsman-backend`: a web server for tests and demos, and the agent that registers a server.

mod args;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use pointsman_backend::agent;
use pointsman_backend::server::{Control, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{AgentArgs, Args, Command};

/// The command line is wrong.
const USAGE: u8 = 2;
/// Something failed at run time.
const FAILURE: u8 = 5;

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Serve(serve) => serve_web(serve),
        Command::Agent(agent) => run_agent(*agent),
    }
}

fn run_agent(args: AgentArgs) -> ExitCode {
    if args.take_back {
        return take_back(args);
    }
    let check = args.check;
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(why) => {
            say(format_args!("error: {why}"));
            return USAGE.into();
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| {
        let outcome = runtime.block_on(async {
            if check {
                return foresee(&settings).await;
            }
            let mut stop = Stop::new()?;
            agent::run(settings, stop.one(), |line| say(line)).await
        });
        // A name may be looked up still.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(format_args!("error: {why}"));
            FAILURE.into()
        }
    }
}

async fn foresee(settings: &agent::Settings) -> io::Result<()> {
    let (does, lacking) = agent::foresee(settings).await;
    let mut out = io::stdout().lock();
    for line in &does {
        writeln!(out, "would {line}")?;
    }
    for line in &lacking {
        writeln!(out, "lacks: {line}")?;
    }
    match lacking.len() {
        0 => Ok(()),
        count => Err(io::Error::other(format!(
            "the agent would not work: {count} lack"
        ))),
    }
}

fn take_back(args: AgentArgs) -> ExitCode {
    let folder = match args.state_folder() {
        Ok(folder) => folder,
        Err(why) => {
            say(format_args!("error: {why}"));
            return USAGE.into();
        }
    };
    match agent::take_back(&folder) {
        Ok(gone) => {
            gone.iter().for_each(say);
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(format_args!("error: {why}"));
            FAILURE.into()
        }
    }
}

fn serve_web(serve: args::Serve) -> ExitCode {
    let listen = serve.listen;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(run(serve)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) if why.kind() == io::ErrorKind::InvalidInput => {
            say(format_args!("error: {why}"));
            USAGE.into()
        }
        Err(why) => {
            say(format_args!("error: cannot serve at {listen}: {why}"));
            FAILURE.into()
        }
    }
}

async fn run(serve: args::Serve) -> io::Result<()> {
    let stop = Stop::new()?;
    let server = Server::bind(serve.into()).await?;
    say(format_args!(
        "{} listens at {}",
        server.name(),
        server.local_addr()
    ));
    let control = server.control();
    server.run(stop.asked(control)).await;
    Ok(())
}

/// The signals that end the program.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first signal; the next one ends the server at once.
    async fn asked(mut self, control: Control) {
        self.one().await;
        say("ending the requests in flight; a second signal ends at once");
        tokio::spawn(async move {
            self.one().await;
            control.kill();
        });
    }

    async fn one(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Tells the user; what cannot be told is not worth ending for.
fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}
