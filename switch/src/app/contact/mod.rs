//! `pointsman contact`

pub(super) mod render;

use super::client::{self, Answer};
use super::{Exit, output, status};
use crate::args::{self, ContactAction, Target};

pub(super) fn run(action: ContactAction) -> Exit {
    match action {
        ContactAction::Status(args) => show(args),
        ContactAction::Yield(args) => order("/contact/yield", args.group, args.force, &args.target),
        ContactAction::Resume(args) => order("/contact/resume", args.group, false, &args.target),
    }
}

fn show(args: args::Status) -> Exit {
    let status = match status::ask(&args.target).and_then(|body| status::read(&body)) {
        Ok(status) => status.contact,
        Err(exit) => return exit,
    };
    let Some(status) = status.filter(|status| !status.contacts.is_empty()) else {
        output::error("this switch has no contact address: its policy has no [contact]");
        return Exit::Invalid;
    };
    if !args.json {
        return output::print(&render::full(&status, output::color_out()));
    }
    match serde_json::to_string_pretty(&status) {
        Ok(json) => output::print(&json),
        Err(error) => {
            output::error(&format!("the status cannot be written as JSON: {error}"));
            Exit::Failed
        }
    }
}

fn order(path: &str, group: Option<u8>, force: bool, target: &Target) -> Exit {
    let group = group.map(|group| format!("group={group}"));
    let force = force.then(|| "force=yes".to_owned());
    let query: Vec<String> = group.into_iter().chain(force).collect();
    let path = match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", query.join("&")),
    };
    match client::ask(target, "POST", &path) {
        Ok(answer) => tell(&answer),
        Err(exit) => exit,
    }
}

fn tell(answer: &Answer) -> Exit {
    if answer.status == 200 {
        return output::print(&render::plain(&answer.body));
    }
    output::error(&render::plain(answer.body.trim_end()));
    if answer.status == 409 {
        output::message("help: nothing was changed; --force gives the addresses up all the same");
    }
    exit(answer.status)
}

fn exit(status: u16) -> Exit {
    match status {
        400 | 404 => Exit::Invalid,
        401 | 403 | 409 | 429 => Exit::Refused,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_what_was_wrong_with_an_order() {
        let cases = [
            (404, Exit::Invalid),
            (400, Exit::Invalid),
            (403, Exit::Refused),
            (409, Exit::Refused),
            (500, Exit::Failed),
        ];
        for (status, expected) in cases {
            assert_eq!(exit(status), expected, "{status}");
        }
    }
}
