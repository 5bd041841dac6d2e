//! Services work: real connections through the programs, and none is lost by what is done to them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use pointsman::control::direct::kernel::{Capacity, Datapath, Hook, State};

use crate::attach::filled;
use crate::lab::{ADDRESSES, BACKENDS, Host, INTERFACE, Lab, PORT, keys, members};
use crate::support::{PATIENCE, say, wait_until};

/// Bytes of a long transfer to a backend.
const UPLOAD: usize = 3_000_000;

/// Each backend answers its number to a byte, and `u` to an upload.
fn serve(lab: &Lab) {
    for id in BACKENDS {
        for address in ADDRESSES {
            let at = SocketAddr::new(address.parse::<IpAddr>().unwrap(), PORT);
            let listener = lab.within(Host::Backend(id), || TcpListener::bind(at).unwrap());
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    std::thread::spawn(move || answer(stream, id as u8));
                }
            });
        }
    }
}

fn answer(mut stream: TcpStream, id: u8) -> std::io::Result<()> {
    let mut buffer = vec![0; 65536];
    let mut uploaded = 0;
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        if length == 1 && uploaded == 0 {
            stream.write_all(&[id])?;
            continue;
        }
        uploaded += length;
        if uploaded == UPLOAD {
            uploaded = 0;
            stream.write_all(b"u")?;
        }
    }
}

fn open(address: &str) -> std::io::Result<TcpStream> {
    let at = SocketAddr::new(address.parse::<IpAddr>().unwrap(), PORT);
    let stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream) -> std::io::Result<u8> {
    let mut answer = [0];
    stream.write_all(b"?")?;
    stream.read_exact(&mut answer)?;
    Ok(answer[0])
}

#[test]
fn backends_answer_clients_at_every_hook() {
    if !crate::applies("backends_answer_clients_at_every_hook") {
        return;
    }
    let lab = Lab::start();
    serve(&lab);
    let mut datapath = lab.within(Host::Switch, || filled(&lab));
    for hook in [Hook::Tcx, Hook::Clsact, Hook::XdpGeneric] {
        lab.within(Host::Switch, || {
            datapath.attach_by(INTERFACE, hook).unwrap()
        });
        lab.within(Host::Client, || {
            for address in ADDRESSES {
                let mut seen = [0; 4];
                for _ in 0..30 {
                    let mut stream = open(address).unwrap();
                    let id = ask(&mut stream).unwrap();
                    assert_eq!(ask(&mut stream).unwrap(), id);
                    seen[usize::from(id)] += 1;
                }
                assert!(
                    seen[1..].iter().all(|count| *count > 0),
                    "{hook:?} {seen:?}"
                );
                let mut stream = open(address).unwrap();
                stream.write_all(&vec![b'x'; UPLOAD]).unwrap();
                let mut answer = [0];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(answer, *b"u", "{hook:?}");
            }
        });
    }
    let counters = datapath.counters().unwrap();
    for (key, service) in counters.services {
        assert_eq!(service.flows, 3 * 31, "{key}");
    }
}

/// Connections that ask again and again, and new ones, until it is dropped.
struct Load {
    ended: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    threads: Vec<std::thread::JoinHandle<Result<(), String>>>,
}

impl Load {
    fn start(lab: &Lab) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU32::new(0));
        let mut threads = Vec::new();
        for number in 0..12 {
            let (ended, asked) = (ended.clone(), asked.clone());
            let address = ADDRESSES[number % 2];
            let keeps = number >= 2;
            threads.push(lab.spawn(Host::Client, move || {
                let told = |error: std::io::Error| format!("{address}: {error}");
                let mut stream = open(address).map_err(told)?;
                let own = ask(&mut stream).map_err(told)?;
                while !ended.load(Ordering::Relaxed) {
                    if !keeps {
                        stream = open(address).map_err(told)?;
                    }
                    let id = ask(&mut stream).map_err(told)?;
                    if keeps && id != own {
                        return Err(format!("{address}: {id} answered instead of {own}"));
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }));
        }
        Self {
            ended,
            asked,
            threads,
        }
    }

    /// Lets so many more questions be answered.
    fn go_on(&self, questions: u32) {
        let until = self.asked.load(Ordering::Relaxed) + questions;
        wait_until("questions are answered", || {
            let failed = self.threads.iter().any(|thread| thread.is_finished());
            failed || self.asked.load(Ordering::Relaxed) >= until
        });
    }

    /// How many were answered; none was lost.
    #[track_caller]
    fn end(self) -> u32 {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            assert_eq!(thread.join().unwrap(), Ok(()));
        }
        self.asked.load(Ordering::Relaxed)
    }
}

fn capacity() -> Capacity {
    Capacity {
        services: 8,
        rings: 4,
        backends: 16,
        connections: 65_536,
    }
}

#[test]
fn processes_come_and_go_and_nothing_is_lost() {
    if !crate::applies("processes_come_and_go_and_nothing_is_lost") {
        return;
    }
    for hook in [Hook::Tcx, Hook::Clsact, Hook::XdpGeneric] {
        let lab = Lab::start();
        serve(&lab);
        lab.within(Host::Switch, || {
            filled(&lab).attach_by(INTERFACE, hook).unwrap();
        });
        // No process has it open now.
        let load = Load::start(&lab);
        load.go_on(300);
        for _ in 0..5 {
            lab.within(Host::Switch, || {
                let mut datapath = Datapath::open(Some(&lab.pins()), capacity()).unwrap();
                assert!(datapath.adopted());
                assert!(datapath.attach_by(INTERFACE, hook).unwrap().replaced);
                load.go_on(100);
            });
            load.go_on(100);
        }
        say(&format!("{}: {} answers", hook.word(), load.end()));
    }
}

#[test]
fn a_change_of_layout_loses_nothing() {
    if !crate::applies("a_change_of_layout_loses_nothing") {
        return;
    }
    let lab = Lab::start();
    serve(&lab);
    lab.within(Host::Switch, || {
        filled(&lab).attach_by(INTERFACE, Hook::Tcx).unwrap();
    });
    let load = Load::start(&lab);
    load.go_on(200);
    std::fs::remove_file(lab.pins().join("front")).unwrap();
    lab.within(Host::Switch, || {
        let mut datapath = filled(&lab);
        assert!(!datapath.adopted());
        load.go_on(100);
        assert!(datapath.attach_by(INTERFACE, Hook::Tcx).unwrap().replaced);
    });
    load.go_on(200);
    load.end();
}

#[test]
fn a_backend_is_drained_and_nothing_is_lost() {
    if !crate::applies("a_backend_is_drained_and_nothing_is_lost") {
        return;
    }
    for hook in [Hook::Tcx, Hook::XdpGeneric] {
        let lab = Lab::start();
        serve(&lab);
        let mut datapath = lab.within(Host::Switch, || filled(&lab));
        lab.within(Host::Switch, || {
            datapath.attach_by(INTERFACE, hook).unwrap()
        });
        let load = Load::start(&lab);
        load.go_on(300);
        datapath.set_state(2, State::Draining).unwrap();
        load.go_on(200);
        for key in keys() {
            datapath.set_service(key, &members(&[1, 3])).unwrap();
        }
        load.go_on(300);
        let flows = datapath.flows(2, 100).unwrap();
        load.end();
        let flows = flows.iter().filter(|flow| !flow.closed);
        say(&format!("{}: {} flows stay", hook.word(), flows.count()));
    }
}
