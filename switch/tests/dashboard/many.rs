//! The page with a thousand backends.

use std::fmt::Write as _;

use crate::board::Board;
use crate::browser::Page;

/// Nobody listens there, and nobody asks: it is the number that counts.
fn policy() -> String {
    let mut text = "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n[pool.app]\nbackends = [\n".to_owned();
    for n in 1..=1000 {
        let (high, low) = (n / 250, n % 250 + 1);
        let _ = writeln!(
            text,
            "  {{ name = \"n{n:04}\", addr = \"127.9.{high}.{low}:9\" }},"
        );
    }
    text + "]\n"
}

#[test]
fn a_thousand_backends_are_looked_over_filtered_and_sorted() {
    let board = Board::start(&policy(), "");
    let Some(page) = Page::open("a_thousand_backends", 1280, 900) else {
        return;
    };
    page.go(&format!("http://{}/", board.admin));
    page.wait_for(
        "each has a sign",
        "document.querySelectorAll('.signs i').length === 1000",
    );
    board.ask("POST", "/backend/disable?pool=app&backend=n0777", &[]);
    page.wait_for(
        "the one shows",
        "document.querySelectorAll('.signs i.off').length === 1",
    );
    page.go(&format!("http://{}/#/pool/app", board.admin));
    page.wait_for(
        "few rows exist",
        "[...Array(1)].every(() => { const rows = document.querySelectorAll('tbody tr').length; return rows > 10 && rows < 100 })",
    );
    page.wait_for(
        "the worst comes first",
        "document.querySelector('tbody tr:nth-child(2)').innerText.includes('n0777')",
    );
    page.run("document.querySelector('.scroll').scrollTop = 38 * 500");
    page.wait_for(
        "what is in sight is there",
        "document.body.innerText.includes('n0500')",
    );
    page.write("#filter", "n012");
    page.wait_for(
        "ten are left",
        "document.body.innerText.includes('10 of 1000 backends')",
    );
    assert_eq!(page.complaints(), [""; 0]);
}
