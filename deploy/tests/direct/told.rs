//! What the switch tells of packets that it does not see.

use pointsman_deploy::lab::wait_until;

use crate::clients::ask;
use crate::stage::{SHARED, Stage, order, target};

#[test]
fn status_metrics_and_explain_tell_where_packets_go() {
    let Some(stage) = Stage::new("status_metrics_and_explain_tell_where_packets_go") else {
        return;
    };
    let switch = stage.alone("");
    for _ in 0..20 {
        ask(&stage.client, target()).unwrap();
    }
    let flows = || switch.status()["direct"]["services"][0]["flows"].as_u64();
    wait_until("flows are counted", || flows() >= Some(20));
    let text = switch.tell(&["status"]);
    for part in [
        "interface e0  tcx",
        "service tcp 10.77.0.100:80  -> web  3 backends",
        "backend web/10.77.0.31:80  active  neighbour ",
        "pool web  direct",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let metrics = switch.admin("GET", "/metrics").1;
    for part in [
        "pointsman_direct_flows_total{listener=\"web\",service=\"tcp 10.77.0.100:80\"} ",
        "pointsman_direct_backend_state{pool=\"web\",backend=\"10.77.0.32:80\",state=\"active\"} 1",
        "pointsman_direct_interface_info{interface=\"e0\",datapath=\"tcx\"} 1",
        "pointsman_direct_dropped_total{listener=\"web\",service=\"tcp 10.77.0.100:80\",reason=\"no-backend\"} 0",
    ] {
        assert!(metrics.contains(part), "{part}");
    }
    let url = format!("http://{SHARED}/");
    let explain = |client: &str| {
        let told = order(&switch, &["explain", "GET", &url, "--client", client]);
        String::from_utf8(told.stdout).unwrap()
    };
    let text = explain("10.77.0.20:40000");
    assert!(text.contains("the hash of both leads there"), "{text}");
    assert!(text.contains("chosen: 10.77.0.3"), "{text}");
    assert_eq!(explain("10.77.0.20:40000"), text, "it is always the same");
    let text = explain("10.77.0.20");
    assert!(
        text.contains("depends on the client's address and port"),
        "{text}"
    );
}
