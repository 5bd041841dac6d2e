//! The page in a browser.

use crate::board::Board;
use crate::browser::Page;
use crate::support::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The text of the card of a backend.
fn card(page: &Page, key: &str) -> String {
    page.text(&format!(
        "return document.querySelector('[data-key=\"backend:{key}\"]')?.innerText ?? ''"
    ))
}

#[track_caller]
fn wait_for_state(page: &Page, key: &str, state: &str) {
    wait_until(&format!("{key} is {state}"), || {
        card(page, key).contains(state)
    });
}

#[test]
fn the_map_shows_the_backends_and_follows_what_becomes_of_them() {
    let backends = ["one", "two", "three"].map(Backend::start);
    let keys = backends
        .each_ref()
        .map(|backend| format!("app/{}", backend.address));
    let board = Board::start(
        &policy(&backends.each_ref().map(|one| one.address), CHECKED),
        "",
    );
    let Some(page) = Page::open("the_map_shows_the_backends", 1280, 900) else {
        return;
    };
    page.go(&format!("http://{}/", board.admin));
    for key in &keys {
        wait_for_state(&page, key, "● up");
    }
    for _ in 0..20 {
        get(board.web(), "/");
    }
    wait_until("the rate is shown", || {
        !card(&page, &keys[0]).contains("\n0/s")
    });
    backends[1].control.kill();
    wait_for_state(&page, &keys[1], "✕ down");
    wait_until("it is said", || {
        page.text("return document.getElementById('said').textContent")
            .contains("is down")
    });
    let drained = format!("/backend/drain?pool=app&backend={}", backends[0].address);
    assert_eq!(board.ask("POST", &drained, &[]).0, 200);
    wait_for_state(&page, &keys[0], "▽ draining");
    assert!(card(&page, &keys[2]).contains("● up"));
    assert_eq!(page.complaints(), [""; 0]);
    drop(board);
    page.wait_for(
        "it is said that the figures are old",
        "document.getElementById('link').textContent.includes('these figures are of')",
    );
}

#[test]
fn an_order_takes_a_reason_and_the_right_token() {
    let backends = ["one", "two"].map(Backend::start);
    let addresses = backends.each_ref().map(|one| one.address);
    let token = format!("token = \"{TOKEN}\"");
    let board = Board::start(&policy(&addresses, CHECKED), &token);
    let Some(page) = Page::open("an_order_takes_a_reason", 1280, 900) else {
        return;
    };
    let name = addresses[0].to_string().replace(':', "%3A");
    page.go(&format!("http://{}/#/backend/app/{name}", board.admin));
    page.wait_for(
        "its page is there",
        "document.querySelector('[data-order=drain]')",
    );
    page.click("[data-order=drain]");
    page.click("dialog .main");
    page.wait_for(
        "the reason is asked for",
        "document.querySelector('#why:invalid')",
    );
    page.write("#why", "kernel update");
    page.click("dialog .main");
    page.wait_for("the token is asked for", "document.querySelector('#token')");
    page.write("#token", "wrong-wrong-wrong");
    page.click("dialog:has(#token) .main");
    page.wait_for(
        "it is refused",
        "document.querySelector('dialog:has(#token) .error')?.textContent.includes('not the right')",
    );
    assert!(
        board.json("/status")["overlay"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    page.write("#token", TOKEN);
    page.click("dialog:has(#token) .main");
    page.wait_for("the dialogs are gone", "!document.querySelector('dialog')");
    page.wait_for(
        "the page tells why",
        "document.querySelector('.why').innerText.includes('kernel update')",
    );
    page.wait_for(
        "it is draining",
        "document.querySelector('.summary').innerText.includes('▽ draining')",
    );
    page.click("[data-order=enable]");
    page.click("dialog .main");
    page.wait_for(
        "it is up",
        "document.querySelector('.summary').innerText.includes('● up')",
    );
    page.click("[data-order=weight]");
    page.write("#weight", "7");
    page.write("#why", "it is larger");
    page.click("dialog .main");
    page.wait_for(
        "it weighs more",
        "document.querySelector('.why').innerText.includes('weight 17')",
    );
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn a_request_is_explained_and_the_file_compared() {
    let backend = Backend::start("one");
    let board = Board::start(&policy(&[backend.address], ""), "");
    let Some(page) = Page::open("a_request_is_explained", 1280, 900) else {
        return;
    };
    page.go(&format!("http://{}/#/explain", board.admin));
    page.wait_for("the form is there", "document.querySelector('#url')");
    page.run("document.querySelector('#url').value = ''");
    page.write("#url", "http://shop.example.com/cart");
    page.click("form .main");
    page.wait_for(
        "it answers",
        "document.querySelector('main').innerText.includes('forwarded to pool `app`')",
    );
    let file = board.folder.path().join("p.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "balance = \"random\"\n").unwrap();
    page.go(&format!("http://{}/#/policy", board.admin));
    page.wait_for(
        "the difference is shown",
        "document.querySelector('.plan')?.innerText.includes('random')",
    );
    page.go(&format!("http://{}/#/events", board.admin));
    page.wait_for("the page is there", "document.querySelector('#level')");
    page.go(&format!("http://{}/#/contact", board.admin));
    page.wait_for(
        "there is none",
        "document.querySelector('main').innerText.includes('shares no address')",
    );
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn the_first_paint_comes_within_300_milliseconds() {
    let backend = Backend::start("one");
    let board = Board::start(&policy(&[backend.address], ""), "");
    let Some(page) = Page::open("the_first_paint", 1280, 900) else {
        return;
    };
    // The machine may be busy with other tests: it must be so quick once.
    let mut best = f64::INFINITY;
    wait_until("it is painted soon", || {
        page.go("about:blank");
        page.go(&format!("http://{}/", board.admin));
        best = best.min(page.first_paint());
        best < 300.0
    });
    say(&format!("the dashboard's first paint: {best:.0} ms"));
}
