//! Section "Webhook routes".

use crate::expect::bodies;
use kurir_test_harness::{Answer, Stack};
use serde_json::json;

use super::{assert_fits, check, no, row};

#[tokio::test(flavor = "multi_thread")]
async fn each_route_answers_as_it_always_did() {
    let stack = Stack::start().await;
    let (test, send) = ("POST /api/webhook/test", "POST /api/webhook/send");
    let well = |message: &str| json!({"success": true, "message": message, "result": {"success": true, "status": 200, "attempt": 1}});
    let status =
        json!({"success": true, "data": {"enabled": true, "webhookUrl": stack.receiver.url(), "timestamp": "<ISO>"}});
    check(
        &stack,
        [
            row("GET /api/webhook/status", json!(null), 200, status),
            row(test, json!(null), 200, well("Webhook test completed")),
            row(
                test,
                json!({"eventType": "mine", "data": {"a": 1, "test": 0, "timestamp": 0}}),
                200,
                well("Webhook test completed"),
            ),
            row(send, json!({"eventType": "custom.event", "data": {"order": 7}}), 200, well("Custom webhook sent")),
            row(send, json!({"eventType": "custom.bare"}), 200, well("Custom webhook sent")),
            no(send, json!({}), 400, "eventType is required"),
            no(send, json!({"eventType": "a b"}), 400, "Invalid eventType"),
            no(send, json!({"eventType": "a..b"}), 400, "Invalid eventType"),
            no(send, json!({"eventType": "x".repeat(129)}), 400, "Invalid eventType"),
        ],
    )
    .await;
    let requests = stack.receiver.requests();
    for (event, data) in [
        ("test", json!({"test": true, "timestamp": "<ISO>"})),
        ("mine", json!({"a": 1, "test": true, "timestamp": "<ISO>"})),
        ("custom.event", json!({"order": 7})),
        ("custom.bare", json!({})),
    ] {
        let body = bodies(&requests, event).remove(0);
        assert_fits(&json!({"event": event, "timestamp": "<ISO>", "data": data}), &body, event);
    }

    stack.receiver.always(Answer::status(500));
    let given_up = json!({"success": true, "message": "Webhook test completed", "result": {"success": false, "error": "All retry attempts failed"}});
    check(&stack, [row(test, json!({}), 200, given_up)]).await;
    stack.receiver.always(Answer::Hang);
    let waits =
        json!({"success": true, "result": {"success": false, "error": "Still being retried", "eventId": "<text>"}});
    check(&stack, [row(send, json!({"eventType": "slow"}), 200, waits)]).await;
    stack.receiver.always(Answer::status(200));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_webhooks_there_is_no_result() {
    let stack = Stack::plan().without_webhooks().start().await;
    let (_, answer) = stack.api.post("/api/webhook/test", json!({})).await;
    assert_eq!(answer, json!({"success": true, "message": "Webhook test completed"}));
    let disabled = json!({"success": true, "data": {"enabled": false, "webhookUrl": null, "timestamp": "<ISO>"}});
    check(&stack, [row("GET /api/webhook/status", json!(null), 200, disabled)]).await;
    stack.finish().await;
}
