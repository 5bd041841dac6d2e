//! `pointsman completions` and `pointsman man`: both are made from the table of arguments.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Exit, output};
use crate::args::{Args, Completions, Man, ShellName};

pub(super) fn completions(args: &Completions) -> Exit {
    let shell = match args.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "pointsman", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

pub(super) fn man(args: &Man) -> Exit {
    let written = match &args.dir {
        Some(folder) => all(folder),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Args::command()).render(&mut page);
            return match rendered {
                Ok(()) => output::print(&String::from_utf8_lossy(&page)),
                Err(error) => failed(&error),
            };
        }
    };
    match written {
        Ok(()) => Exit::Ok,
        Err(error) => failed(&error),
    }
}

fn all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Args::command(), folder)
}

fn failed(error: &io::Error) -> Exit {
    output::error(&format!("the page cannot be written: {error}"));
    Exit::Failed
}
