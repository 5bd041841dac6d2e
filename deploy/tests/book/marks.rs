//! What stands in comments above a block of code, for the tests.
//!
//! | Comment | Means |
//! |---|---|
//! | `<!-- file: NAME -->` | the reader writes the block into this file |
//! | `<!-- on: HOST -->` | it is for another host than the one before |
//! | `<!-- exit: N -->` | the block's last command ends with this code, rather than 0 |
//! | `<!-- eventually -->` | the reader repeats each command until it says what stands there |
//! | `<!-- not run: REASON -->` | no test can run it |
//! | `<!-- asks -->` | in a migration: what all of the programs are asked |
//!
//! Several stand below each other. And once in a page, `<!-- needs: PROGRAM ... -->`: without these its
//! commands are not run.

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Marks {
    pub file: Option<String>,
    pub host: Option<String>,
    pub exit: i32,
    pub eventually: bool,
    pub not_run: Option<String>,
    pub asks: bool,
}

impl Marks {
    /// Takes in what a comment says.
    pub fn add(&mut self, said: &str) -> Result<(), String> {
        let (key, value) = said.split_once(':').unwrap_or((said, ""));
        let value = value.trim();
        match (key.trim(), value.is_empty()) {
            ("file", false) => self.file = Some(value.to_owned()),
            ("on", false) => self.host = Some(value.to_owned()),
            ("exit", false) => self.exit = value.parse().map_err(|_| said.to_owned())?,
            ("eventually", true) => self.eventually = true,
            ("not run", false) => self.not_run = Some(value.to_owned()),
            ("asks", true) => self.asks = true,
            ("needs" | "ANCHOR" | "ANCHOR_END", false) => {}
            _ => return Err(format!("there is no such mark: {said}")),
        }
        Ok(())
    }
}

#[test]
fn marks_are_read_and_others_are_refused() {
    let mut marks = Marks::default();
    for said in ["file: a.toml", "on: first", "exit: 4", "eventually"] {
        marks.add(said).unwrap();
    }
    marks.add("not run: it installs a package").unwrap();
    assert_eq!(marks.file.as_deref(), Some("a.toml"));
    assert_eq!(marks.host.as_deref(), Some("first"));
    assert_eq!(marks.not_run.as_deref(), Some("it installs a package"));
    assert!(marks.eventually && marks.exit == 4);
    for said in ["not run", "file", "exit: often", "eventually: soon", "run"] {
        assert!(marks.add(said).is_err(), "{said}");
    }
}
