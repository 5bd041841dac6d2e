//! How programs come to an interface, stay there, and are replaced; what a process finds that comes
//! after another.

use std::io::ErrorKind;

use pointsman::control::direct::kernel::{Capacity, Datapath, Hook, Mode, State, clear};

use crate::lab::{BACKENDS, Host, INDEX, INTERFACE, Lab, backend, keys, members};

fn small() -> Capacity {
    Capacity {
        services: 8,
        rings: 4,
        backends: 16,
        connections: 65_536,
    }
}

/// With services and backends.
pub fn filled(lab: &Lab) -> Datapath {
    let mut datapath = Datapath::open(Some(&lab.pins()), small()).unwrap();
    for id in BACKENDS {
        datapath
            .set_backend(id, &backend(id, State::Active))
            .unwrap();
    }
    for key in keys() {
        datapath.set_service(key, &members(&BACKENDS)).unwrap();
    }
    datapath
}

#[test]
fn a_process_finds_what_another_has_left() {
    if !crate::applies("a_process_finds_what_another_has_left") {
        return;
    }
    let lab = Lab::start();
    lab.within(Host::Switch, || {
        let mut first = filled(&lab);
        assert!(!first.adopted());
        first.set_state(3, State::Draining).unwrap();
        let attached = first.attach(INTERFACE, Mode::Auto).unwrap();
        assert_eq!((attached.hook, attached.replaced), (Hook::Tcx, false));
        drop(first);
        let mut second = Datapath::open(Some(&lab.pins()), small()).unwrap();
        assert!(second.adopted());
        let mut wanted = keys().to_vec();
        wanted.sort();
        assert_eq!(second.services(), wanted);
        let backends = [
            (1, backend(1, State::Active)),
            (2, backend(2, State::Active)),
            (3, backend(3, State::Draining)),
        ];
        assert_eq!(second.backends().unwrap(), backends);
        assert_eq!(second.attached(), [(INDEX, Hook::Tcx)]);
        let attached = second.attach(INTERFACE, Mode::Tc).unwrap();
        assert_eq!((attached.hook, attached.replaced), (Hook::Tcx, true));
        assert_eq!(second.attached(), [(INDEX, Hook::Tcx)]);
        second.detach(INTERFACE).unwrap();
        assert_eq!(second.attached(), []);
        drop(second);
        clear(&lab.pins()).unwrap();
        assert!(!lab.pins().exists());
        clear(&lab.pins()).unwrap();
    });
}

#[test]
fn maps_of_another_capacity_or_layout_are_replaced() {
    if !crate::applies("maps_of_another_capacity_or_layout_are_replaced") {
        return;
    }
    let lab = Lab::start();
    lab.within(Host::Switch, || {
        let mut first = filled(&lab);
        first.attach(INTERFACE, Mode::Auto).unwrap();
        drop(first);
        let larger = Capacity {
            connections: 32_768,
            ..small()
        };
        let mut second = Datapath::open(Some(&lab.pins()), larger).unwrap();
        assert!(!second.adopted());
        assert_eq!(second.services(), []);
        // The old program is still there, and is replaced all the same.
        assert_eq!(second.attached(), [(INDEX, Hook::Tcx)]);
        assert!(second.attach(INTERFACE, Mode::Auto).unwrap().replaced);
        drop(second);
        std::fs::remove_file(lab.pins().join("totals")).unwrap();
        assert!(!Datapath::open(Some(&lab.pins()), larger).unwrap().adopted());
        assert!(Datapath::open(Some(&lab.pins()), larger).unwrap().adopted());
    });
}

#[test]
fn one_hook_takes_the_place_of_another() {
    if !crate::applies("one_hook_takes_the_place_of_another") {
        return;
    }
    let lab = Lab::start();
    lab.within(Host::Switch, || {
        let mut datapath = filled(&lab);
        for hook in [
            Hook::Tcx,
            Hook::XdpGeneric,
            Hook::Clsact,
            Hook::Xdp,
            Hook::XdpGeneric,
            Hook::Tcx,
        ] {
            let attached = datapath.attach_by(INTERFACE, hook).unwrap();
            assert_eq!((attached.hook, attached.replaced), (hook, false));
            assert!(datapath.attach_by(INTERFACE, hook).unwrap().replaced);
            assert_eq!(datapath.attached(), [(INDEX, hook)]);
            drop(datapath);
            datapath = Datapath::open(Some(&lab.pins()), small()).unwrap();
            assert_eq!(datapath.attached(), [(INDEX, hook)]);
            assert!(datapath.attach_by(INTERFACE, hook).unwrap().replaced);
        }
        datapath.detach(INTERFACE).unwrap();
        assert_eq!(datapath.attached(), []);
    });
}

#[test]
fn a_hook_that_cannot_be_had_leaves_the_one_before() {
    if !crate::applies("a_hook_that_cannot_be_had_leaves_the_one_before") {
        return;
    }
    let lab = Lab::start();
    lab.within(Host::Switch, || {
        let mut datapath = filled(&lab);
        datapath.attach_by(INTERFACE, Hook::XdpGeneric).unwrap();
        // More than a page, which the driver of veth has no room for.
        lab.set_mtu(Host::Switch, 9000);
        for _ in 0..2 {
            let error = datapath.attach(INTERFACE, Mode::Xdp).unwrap_err();
            assert!(error.to_string().starts_with("e0: xdp: "), "{error}");
            assert_eq!(datapath.attached(), [(INDEX, Hook::XdpGeneric)]);
        }
        lab.set_mtu(Host::Switch, 1500);
        let attached = datapath.attach(INTERFACE, Mode::Xdp).unwrap();
        assert!(!attached.replaced);
        assert_eq!(datapath.attached(), [(INDEX, Hook::Xdp)]);
    });
}

#[test]
fn without_pins_everything_goes_with_the_process() {
    if !crate::applies("without_pins_everything_goes_with_the_process") {
        return;
    }
    let lab = Lab::start();
    lab.within(Host::Switch, || {
        for hook in [Hook::Tcx, Hook::Clsact, Hook::Xdp, Hook::XdpGeneric] {
            for _ in 0..2 {
                let mut datapath = Datapath::open(None, small()).unwrap();
                assert!(!datapath.attach_by(INTERFACE, hook).unwrap().replaced);
                assert!(datapath.attach_by(INTERFACE, hook).unwrap().replaced);
            }
        }
    });
}

#[test]
fn what_cannot_be_is_told() {
    if !crate::applies("what_cannot_be_is_told") {
        return;
    }
    let lab = Lab::start();
    lab.within(Host::Switch, || {
        let mut datapath = filled(&lab);
        let error = datapath.attach("nowhere", Mode::Auto).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "there is no interface nowhere");
        let mut other = Datapath::open(None, small()).unwrap();
        other.attach(INTERFACE, Mode::XdpGeneric).unwrap();
        let error = datapath.attach(INTERFACE, Mode::XdpGeneric).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("e0: xdp-generic: cannot attach"),
            "{error}"
        );
        for id in [0, 16] {
            let error = datapath
                .set_backend(id, &backend(1, State::Active))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let error = datapath
                .set_service(keys()[0], &members(&[id]))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let error = datapath.set_state(9, State::Dead).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let folder = tempfile::tempdir().unwrap();
        let error = Datapath::open(Some(&folder.path().join("pins")), small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.to_string().contains("mount -t bpf bpf /sys/fs/bpf"),
            "{error}"
        );
    });
}

#[test]
fn an_interface_that_is_made_anew_is_attached_anew() {
    if !crate::applies("an_interface_that_is_made_anew_is_attached_anew") {
        return;
    }
    let lab = Lab::start();
    lab.within(Host::Switch, || {
        let mut datapath = filled(&lab);
        for hook in [Hook::Tcx, Hook::XdpGeneric, Hook::Clsact] {
            crate::lab::ip("link add d0 index 99 type bridge");
            assert!(!datapath.attach_by("d0", hook).unwrap().replaced);
            crate::lab::ip("link del d0");
            crate::lab::ip("link add d0 index 99 type bridge");
            assert!(!datapath.attach_by("d0", hook).unwrap().replaced);
            crate::lab::ip("link del d0");
            datapath.detach_index(99).unwrap();
            assert_eq!(datapath.attached(), []);
        }
    });
}
