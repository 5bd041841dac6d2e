//! What was recorded by several shards against the text that a scraper gets.

use std::time::Duration;

use super::*;

fn done(listener: u32, route: Option<u32>) -> RequestDone {
    RequestDone {
        listener,
        route,
        pool: None,
        status: 200,
        method: Method::Get,
        protocol: Protocol::Http11,
        reason: None,
        took: Duration::from_millis(3),
        request_bytes: 10,
        response_bytes: 20,
    }
}

#[test]
fn two_shards_are_added_up() {
    let hub = Hub::new(1000);
    let (web, shop) = (hub.listener_id("web"), hub.route_id("shop"));
    for shard in [hub.shard(), hub.shard()] {
        shard.request_started(shop);
        shard.request(&done(web, Some(shop)));
    }
    let line = "pointsman_requests_total{listener=\"web\",route=\"shop\",code=\"200\",\
                method=\"GET\",protocol=\"HTTP/1.1\"} 2\n";
    assert!(hub.encode().contains(line), "{}", hub.encode());
}
