//! Cookies that keep clients with their backends, and what was found, outlive processes.

use std::path::Path;

use rustix::process::Signal;

use crate::programs::curl;
use crate::service::Service;
use crate::support::{Backend, policy, wait_until};

fn get(service: &Service, jar: &Path) -> String {
    let jar = jar.to_str().expect("UTF-8");
    let url = format!("http://{}/", service.address("web"));
    curl(&["--fail", "--cookie", jar, "--cookie-jar", jar, &url])
}

#[test]
fn a_cookie_outlives_a_restart_and_an_upgrade() {
    let servers = ["one", "two", "three"].map(Backend::start);
    let sticky = "balance = \"random\"\nsticky = { cookie = \"SRV\" }";
    let text = policy(&servers.each_ref().map(|one| one.address), sticky);
    let mut service = Service::start(&text);
    let folder = tempfile::tempdir().expect("a folder");
    let jars = [0, 1, 2, 3].map(|n| folder.path().join(format!("jar{n}")));
    let homes = jars.each_ref().map(|jar| get(&service, jar));
    let cookies = || {
        jars.each_ref()
            .map(|jar| std::fs::read_to_string(jar).expect("a jar"))
    };
    let before = cookies();
    let old = service.pid();
    service.upgrade();
    assert_eq!(jars.each_ref().map(|jar| get(&service, jar)), homes);
    service.wait_for_end(old);
    let old = service.pid();
    service.signal(Signal::TERM);
    service.wait_for_end(old);
    service.start_anew();
    assert_eq!(jars.each_ref().map(|jar| get(&service, jar)), homes);
    assert!(before == cookies(), "nobody got a new cookie");
}

#[test]
fn the_new_process_begins_with_the_backends_that_were_found() {
    let one = Backend::start("one");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("list.toml");
    std::fs::write(&file, format!("backends = [\"{}\"]\n", one.address)).expect("written");
    let discover = format!("discover = {{ file = \"{}\" }}", file.display());
    let text = policy(&[], &discover).replace("backends = []\n", "");
    let mut service = Service::start(&text);
    let address = service.address("web");
    let get = || crate::support::get(address, "/");
    wait_until("it is found", || get() == (200, "one\n".to_owned()));
    // The new process has nothing but what it is told.
    std::fs::remove_file(&file).expect("removed");
    service.upgrade();
    for _ in 0..8 {
        assert_eq!(get(), (200, "one\n".to_owned()));
    }
    wait_until("the loss is told", || {
        service.status()["sources"][0]["state"] == "stale"
    });
}
