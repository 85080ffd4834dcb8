//! NATS as a cluster of three, with the configuration that Kurir ships: each node dies once under load, and nothing is lost.

use crate::expect::by_id;
use kurir_test_harness::{Nats, Stack};
use serde_json::json;
use std::time::Duration;

/// A new leader is chosen within seconds; the machine may be busy.
const RECOVERED_WITHIN: Duration = Duration::from_secs(120);
const MESSAGES: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn each_node_of_a_cluster_dies_under_load_and_nothing_is_lost() {
    let mut nodes = Nats::start_cluster().await;
    let urls = nodes.iter().map(Nats::url).collect::<Vec<_>>().join(",");
    let mut plan = Stack::plan();
    for (variable, value) in [("NATS_URL", urls.as_str()), ("STREAM_REPLICAS", "3")] {
        plan = plan.gateway(variable, value).dispatcher(variable, value).api(variable, value);
    }
    let stack = plan.start().await;

    for (round, node) in (1..).zip(&mut nodes) {
        let delivered = by_id(&stack.receiver.requests()).len();
        stack.simulator.post("/load", json!({"messages": MESSAGES, "rate": 25.0, "contacts": 3})).await;
        let arrived = |count: usize| {
            stack.receiver.wait_until("the messages", RECOVERED_WITHIN, move |requests| by_id(requests).len() >= count)
        };
        arrived(delivered + 10).await;
        node.kill().await;
        arrived(delivered + MESSAGES / 2).await;
        node.start_again().await;
        let requests = arrived(round * MESSAGES).await;
        assert_eq!(by_id(&requests).len(), round * MESSAGES, "one webhook-id per message");
        // Two nodes are needed: the next one may die when this one has all copies again.
        for stream in ["EVENTS", "DELIVERIES", "RETRIES", "KV_session_holders", "KV_gateways"] {
            node.wait_until_copied(stream, RECOVERED_WITHIN).await;
        }
    }
    stack.finish().await;
    for node in &nodes {
        assert_eq!(node.violations(), Vec::<String>::new());
    }
}
