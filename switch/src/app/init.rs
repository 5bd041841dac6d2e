//! `pointsman init`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};

use super::{Exit, output};
use crate::args::Init;

/// A first policy that runs as it is.
const POLICY: &str = include_str!("init.toml");

pub(super) fn run(args: &Init) -> Exit {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.file);
    let file = args.file.display();
    match opened.and_then(|mut opened| opened.write_all(POLICY.as_bytes())) {
        Ok(()) => {
            output::message(&format!("{file}: written; now `pointsman run {file}`"));
            Exit::Ok
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            output::error(&format!("{file} is there already, and stays as it is"));
            Exit::Refused
        }
        Err(error) => {
            output::error(&format!("{file}: {error}"));
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pointsman_config::format::format;
    use pointsman_config::policy::Policy;

    use super::*;

    #[test]
    fn the_first_policy_is_right_and_laid_out() {
        let name = Path::new("pointsman.toml");
        let policy = Policy::from_toml(POLICY, name).unwrap_or_else(|report| panic!("{report}"));
        assert!(policy.warnings.is_empty(), "{}", policy.warnings);
        assert_eq!(format(POLICY, name).expect("it is TOML"), POLICY);
    }
}
