use std::time::{Duration, Instant};

use pointsman::control::contact::host::{Change, Host, LinkWatch, Scope};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::common::PATIENCE;
use crate::lab::Lab;

/// The first change that fits.
#[track_caller]
fn wait_for(watch: &mut LinkWatch, fits: impl Fn(&Change) -> bool) -> Change {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "in vain");
        match watch.next().unwrap() {
            Some(change) if fits(&change) => return change,
            Some(_) => {}
            None => {
                let step = Timespec::try_from(Duration::from_millis(100)).unwrap();
                poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&step)).unwrap();
            }
        }
    }
}

fn runs(wanted: u32, state: bool) -> impl Fn(&Change) -> bool {
    move |change| {
        matches!(change, Change::Link { index, running, .. }
            if *index == wanted && *running == state)
    }
}

#[test]
fn a_lost_carrier_and_a_removed_address_are_heard_of() {
    let Some(lab) = Lab::new("a_lost_carrier_and_a_removed_address_are_heard_of") else {
        return;
    };
    let (near, far) = (&lab.near, &lab.far);
    let index = near.link().index;
    let mut watch = near.inside(|| LinkWatch::open().unwrap());
    assert_eq!(watch.next().unwrap(), None);
    far.ip(&format!("link set {} down", far.interface));
    let down = wait_for(&mut watch, runs(index, false));
    assert!(matches!(down, Change::Link { up: true, name, .. } if name == near.interface));
    assert!(!near.link().running);
    far.ip(&format!("link set {} up", far.interface));
    wait_for(&mut watch, runs(index, true));
    let address = "10.77.0.10/24".parse().unwrap();
    near.ip(&format!("addr add 10.77.0.10/24 dev {}", near.interface));
    wait_for(&mut watch, |change| {
        *change == Change::AddressAdded { index, address }
    });
    near.ip(&format!("addr del 10.77.0.10/24 dev {}", near.interface));
    wait_for(&mut watch, |change| {
        *change == Change::AddressGone { index, address }
    });
    let address = "fd00:77::1/64".parse().unwrap();
    near.ip(&format!("addr del fd00:77::1/64 dev {}", near.interface));
    wait_for(&mut watch, |change| {
        *change == Change::AddressGone { index, address }
    });
    near.ip(&format!("link del {}", near.interface));
    let gone = wait_for(&mut watch, |change| {
        matches!(change, Change::Link { up: false, .. })
    });
    assert!(matches!(gone, Change::Link { index: found, .. } if found == index));
}

#[test]
fn an_interface_that_leaves_a_bridge_is_not_taken_for_gone() {
    let Some(lab) = Lab::new("an_interface_that_leaves_a_bridge_is_not_taken_for_gone") else {
        return;
    };
    let near = &lab.near;
    let index = near.link().index;
    let mut watch = near.inside(|| LinkWatch::open().unwrap());
    near.ip("link add bridge0 type bridge");
    near.ip("link set bridge0 up");
    near.ip(&format!("link set {} master bridge0", near.interface));
    near.ip(&format!("link set {} nomaster", near.interface));
    near.ip("link del bridge0");
    let mut states = Vec::new();
    while let Some(change) = watch.next().unwrap() {
        if let Change::Link {
            index: found, up, ..
        } = change
        {
            states.extend((found == index).then_some(up));
        }
    }
    assert!(
        !states.is_empty() && states.iter().all(|up| *up),
        "{states:?}"
    );
}

#[test]
fn more_changes_than_the_socket_holds_are_told_as_an_overflow() {
    let Some(lab) = Lab::new("more_changes_than_the_socket_holds_are_told_as_an_overflow") else {
        return;
    };
    let index = lab.near.link().index;
    let mut watch = lab.near.inside(|| LinkWatch::open().unwrap());
    let address = "10.77.0.10/24".parse().unwrap();
    let host = lab.near.inside(|| Host::open().unwrap());
    for _ in 0..1000 {
        host.add_address(index, address, Scope::Universe).unwrap();
        host.remove_address(index, address).unwrap();
    }
    wait_for(&mut watch, |change| *change == Change::Overflow);
    // What comes after that is told again.
    while watch.next().unwrap().is_some() {}
    host.add_address(index, address, Scope::Universe).unwrap();
    wait_for(&mut watch, |change| {
        *change == Change::AddressAdded { index, address }
    });
}
