//! What the migration pages set beside each other answers the same: the other program with its
//! configuration, the switch with the policy beside it, and the switch with what is imported.

use pointsman_deploy::lab::{Host, Lab, Skip};

use crate::pages::{Block, Page};
use crate::session::{Session, home};
use crate::skip;
use crate::typed::host;

#[test]
fn haproxy_and_the_policy_beside_it_answer_the_same() {
    Migration::begin(
        "haproxy_and_the_policy_beside_it_answer_the_same",
        "haproxy",
        "haproxy.cfg",
    )
    .each_answers_the_same("haproxy -f haproxy.cfg");
}

#[test]
fn nginx_and_the_policy_beside_it_answer_the_same() {
    Migration::begin(
        "nginx_and_the_policy_beside_it_answer_the_same",
        "nginx",
        "nginx.conf",
    )
    .each_answers_the_same("nginx -p . -c nginx.conf -g 'daemon off;'");
}

#[test]
fn caddy_and_the_policy_beside_it_answer_the_same() {
    Migration::begin(
        "caddy_and_the_policy_beside_it_answer_the_same",
        "caddy",
        "Caddyfile",
    )
    .each_answers_the_same("caddy run --adapter caddyfile --config Caddyfile");
}

#[test]
fn keepalived_and_the_policy_beside_it_pass_their_checks() {
    let test = "keepalived_and_the_policy_beside_it_pass_their_checks";
    let page = Page::read("docs/migrate/keepalived.md");
    let lab = match Lab::with(&["keepalived"]) {
        Ok(lab) => lab,
        Err(why) => return why.tell(test),
    };
    let host = host(&lab, "first");
    let home = home();
    let mut shell = Session::begin(&host, &home);
    let mut files = 0;
    for block in page
        .blocks()
        .iter()
        .filter(|block| block.marks.file.is_some())
    {
        shell.follow(block).unwrap();
        files += 1;
        match block.language.as_str() {
            "toml" => shell.ok("pointsman check pointsman.toml"),
            "keepalived" => shell.ok("keepalived --config-test --use-file $PWD/keepalived.conf"),
            _ => {}
        }
    }
    assert!(files >= 2, "{files}");
}

/// A page that sets a program and the switch beside each other.
struct Migration {
    test: &'static str,
    program: &'static str,
    /// The program's configuration.
    file: &'static str,
    page: Page,
}

impl Migration {
    fn begin(test: &'static str, program: &'static str, file: &'static str) -> Self {
        let page = Page::read(&format!("docs/migrate/{program}.md"));
        Self {
            test,
            program,
            file,
            page,
        }
    }

    fn each_answers_the_same(&self, theirs: &str) {
        let (lab, theirs) = match (Lab::with(&[self.program]), Lab::new()) {
            (Ok(lab), _) => (lab, Some(theirs)),
            (Err(Skip::NoProgram(program)), Ok(lab)) => {
                skip(
                    self.test,
                    &format!("no {program}: the switch alone is asked"),
                );
                (lab, None)
            }
            (Err(why), _) => return why.tell(self.test),
        };
        let import = format!(
            "pointsman import {} {} > imported.toml",
            self.program, self.file
        );
        let ours = "pointsman run pointsman.toml";
        let imported = "pointsman run imported.toml";
        let host = host(&lab, "here");
        for (before, program) in [
            (":", theirs),
            ("pointsman check pointsman.toml", Some(ours)),
            (import.as_str(), Some(imported)),
        ] {
            if let Some(program) = program {
                self.ask(&host, before, program);
            }
        }
    }

    /// Starts the program and asks what the page asks.
    fn ask(&self, host: &Host, before: &str, program: &str) {
        let home = home();
        let mut shell = Session::begin(host, &home);
        let blocks = self.page.blocks();
        let (asks, rest): (Vec<&Block>, _) = blocks.iter().partition(|block| block.marks.asks);
        assert!(!asks.is_empty(), "{}: nothing is asked", self.page.name);
        let is_done = |block: &&Block| {
            let typed = block.language == "console" && block.marks.not_run.is_none();
            typed || block.marks.file.is_some()
        };
        let done = rest.into_iter().filter(is_done);
        let program = format!("{program} &");
        for block in done {
            self.follow(&mut shell, &program, block);
        }
        shell.ok(before);
        shell.ok(&program);
        for block in asks {
            self.follow(&mut shell, &program, block);
        }
        shell.ok("kill $(jobs -p); wait");
    }

    fn follow(&self, shell: &mut Session, program: &str, block: &Block) {
        let place = format!("{}:{}: {program}", self.page.name, block.line);
        let followed = shell.follow(block);
        followed.unwrap_or_else(|why| panic!("{place}: {why}"));
    }
}
