use rustix::process::Signal;

use crate::service::Service;
use crate::support::{Backend, ask_unix, get, policy};

#[test]
fn a_killed_process_leaves_nothing_that_hinders_the_next_start() {
    let one = Backend::start("one");
    let free = crate::support::free_address();
    let text = policy(&[one.address], "");
    let mut service = Service::start(&text);
    let path = service.folder.path().join("web.sock");
    let bind = format!("[\"{free}\", \"unix:{}\"]", path.display());
    service.rewrite(&text.replace("\"127.0.0.1:0\"", &bind));
    for _ in 0..3 {
        let pid = service.pid();
        service.signal(Signal::KILL);
        assert_eq!(service.wait_for_end(pid), None, "by the signal");
        service.start_anew();
        assert_eq!(get(free, "/").0, 200);
        assert_eq!(ask_unix(&path, "GET", "/").0, 200);
    }
    let left: Vec<_> = std::fs::read_dir(service.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 3, "a policy and two sockets: {left:?}");
    let pid = service.pid();
    service.signal(Signal::TERM);
    assert_eq!(service.wait_for_end(pid), Some(0));
    assert!(!path.exists(), "in order, its socket goes with it");
}
