//! Frames with the tag of a VLAN.

use std::thread;
use std::time::Duration;

use pointsman_deploy::lab::{Host, wait_until};

use crate::hostile::counted;
use crate::stage::{SHARED, Stage};

const COUNT: u32 = 100;

#[test]
fn frames_of_a_vlan_are_left_to_the_host_and_those_with_a_priority_alone_are_served() {
    let test = "frames_of_a_vlan_are_left_to_the_host_and_those_with_a_priority_alone_are_served";
    let Some(stage) = Stage::with(test, &["python3"]) else {
        return;
    };
    let switch = stage.alone("");
    let passed = || counted(&switch, "pointsman_direct_passed_total", "reason=\"vlan\"");
    let service = format!("service=\"tcp {SHARED}:80\"");
    let begun = || counted(&switch, "pointsman_direct_flows_total", &service);

    // Counts are told once a second.
    thread::sleep(Duration::from_millis(1500));
    let (before, flows) = (passed(), begun());
    send_tagged(&stage.client, stage.a.mac(), 5);
    wait_until("they are counted", || passed() == before + f64::from(COUNT));
    assert!(begun() == flows, "some were passed on");

    send_tagged(&stage.client, stage.a.mac(), 0);
    wait_until("they are passed on", || begun() == flows + f64::from(COUNT));
    assert!(passed() == before + f64::from(COUNT), "some were left");
}

/// Requests for connections, each from another port, in frames with this VLAN and the highest priority
/// (IEEE 802.1Q).
fn send_tagged(host: &Host, to: [u8; 6], vlan: u16) {
    let mac = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).concat();
    let script = format!(
        r#"
import socket, struct
def folded(data):
    total = sum(struct.unpack(f"!{{len(data) // 2}}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("e0", 0))
source, service = socket.inet_aton("{client}"), socket.inet_aton("{SHARED}")
head = bytes.fromhex("{to}{from}") + struct.pack("!HHH", 0x8100, 7 << 13 | {vlan}, 0x0800)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0x4000, 64, 6, 0, source, service)
ip = ip[:10] + struct.pack("!H", folded(ip)) + ip[12:]
for port in range(20000, 20000 + {COUNT}):
    tcp = struct.pack("!HHIIBBHHH", port, 80, 1, 0, 0x50, 2, 1024, 0, 0)
    check = folded(source + service + struct.pack("!HH", 6, len(tcp)) + tcp)
    link.send(head + ip + tcp[:16] + struct.pack("!HH", check, 0))
"#,
        client = host.ipv4(),
        to = mac(to),
        from = mac(host.mac()),
    );
    host.run("python3", &["-c", &script]);
}
