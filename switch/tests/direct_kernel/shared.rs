//! Flows that another switch tells of.

use std::time::Duration;

use pointsman::control::direct::kernel::{Flow, Protocol, State};

use crate::packet::ACK;
use crate::scene::{Scene, everywhere};

/// One of TCP that another switch has heard of so many seconds ago.
fn told(scene: &Scene, number: u16, seconds: u64) -> Flow {
    Flow {
        client: scene.client(number),
        service: scene.key(Protocol::Tcp),
        idle: Duration::from_secs(seconds),
        closed: false,
    }
}

fn idle(scene: &Scene, id: u16) -> Vec<u64> {
    let flows = scene.datapath.flows(id, 10).unwrap();
    flows.iter().map(|flow| flow.idle.as_secs()).collect()
}

#[test]
fn a_flow_that_is_told_leads_to_a_draining_backend_and_stays_as_fresh_as_it_is_told() {
    let test = "a_flow_that_is_told_leads_to_a_draining_backend_and_stays_as_fresh_as_it_is_told";
    everywhere(test, |mut scene| {
        scene.datapath.set_state(2, State::Draining).unwrap();
        scene.set_members(&[1, 3]);
        let flow = told(&scene, 7, 300);
        assert_eq!(scene.datapath.insert_flows(&[(flow, 2)]).unwrap(), 1);
        assert!(idle(&scene, 2)[0] > 290);
        let fresher = told(&scene, 7, 20);
        assert_eq!(scene.datapath.insert_flows(&[(fresher, 2)]).unwrap(), 0);
        assert!(idle(&scene, 2)[0] < 30);
        // What is known is better than what is told: later, and as to whose it is.
        scene.datapath.insert_flows(&[(flow, 2)]).unwrap();
        assert!(idle(&scene, 2)[0] < 30);
        let other = told(&scene, 7, 0);
        scene.datapath.insert_flows(&[(other, 3)]).unwrap();
        assert!(idle(&scene, 2)[0] > 10 && idle(&scene, 3).is_empty());
        assert_eq!(scene.chosen(&scene.tcp(flow.client, ACK)), 2);
    });
}

#[test]
fn a_flow_is_forgotten_that_is_silent_and_still_its_backends() {
    let test = "a_flow_is_forgotten_that_is_silent_and_still_its_backends";
    everywhere(test, |mut scene| {
        let flows = [told(&scene, 7, 60), told(&scene, 8, 60)];
        let both: Vec<(Flow, u16)> = flows.iter().map(|flow| (*flow, 2)).collect();
        scene.datapath.insert_flows(&both).unwrap();
        assert_eq!(scene.datapath.forget_flows(3, &flows).unwrap(), 0);
        assert_eq!(scene.chosen(&scene.tcp(flows[0].client, ACK)), 2);
        assert_eq!(scene.datapath.forget_flows(2, &flows).unwrap(), 1);
        let left = scene.datapath.flows(2, 10).unwrap();
        assert_eq!((left.len(), left[0].client), (1, flows[0].client));
        assert_eq!(scene.datapath.forget_flows(2, &flows).unwrap(), 0);
    });
}

#[test]
fn flows_of_one_thread_fill_the_parts_of_all_cpus() {
    let test = "flows_of_one_thread_fill_the_parts_of_all_cpus";
    everywhere(test, |mut scene| {
        let many: Vec<(Flow, u16)> = (0..3000)
            .map(|number| (told(&scene, number, 5), 2))
            .collect();
        // As they come, and once more.
        for _ in 0..2 {
            for part in many.chunks(800) {
                scene.datapath.insert_flows(part).unwrap();
            }
            assert_eq!(scene.datapath.flows(2, 10_000).unwrap().len(), 3000);
        }
    });
}
