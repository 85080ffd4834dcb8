//! NATS as a cluster of three, with the configuration that Kurir ships: each node dies once under load, and nothing is lost.

use crate::expect::by_id;
use kurir_test_harness::Stack;
use serde_json::json;
use std::time::Duration;

/// A new leader is chosen within seconds; the machine may be busy.
const RECOVERED_WITHIN: Duration = Duration::from_secs(120);
const MESSAGES: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn each_node_of_a_cluster_dies_under_load_and_nothing_is_lost() {
    let mut stack = Stack::plan().cluster().start().await;
    for round in 1..=3 {
        let node = if round == 1 { &mut stack.nats } else { &mut stack.more_nodes[round - 2] };
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
}
