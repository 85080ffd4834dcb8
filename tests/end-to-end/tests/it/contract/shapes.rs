//! Section "Shapes": what an answer looks like, and which status says what.

use kurir_test_harness::Stack;
use serde_json::json;

use super::{assert_fits, check, no, row};

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_answer_has_its_status_and_shape() {
    let mut stack =
        Stack::plan().gateway("WHATSAPP_SEND_TIMEOUT", "1s").gateway("WHATSAPP_SEND_PAUSES", "100ms").start().await;
    let send = "POST /api/whatsapp/send-message";
    let to = "6281234567890";
    check(
        &stack,
        [
            row(
                send,
                json!({"to": to, "message": "x"}),
                200,
                json!({"success": true, "messageId": "<text>", "message": "<text>"}),
            ),
            row(send, json!({"to": to}), 400, json!({"success": false, "message": "<text>", "code": "<text>"})),
            no("GET /api/nothing", json!(null), 404, "Route not found"),
            no("GET /api/whatsapp/send-message", json!(null), 405, "Method not allowed"),
            row(
                send,
                json!({"to": to, "message": "x".repeat(1_100_000)}),
                413,
                json!({"success": false, "message": "<text>"}),
            ),
        ],
    )
    .await;
    stack.simulator.post("/faults", json!({"kind": "swallow-ack"})).await;
    let timed_out = "Message send timeout after multiple attempts. Please check your connection.";
    check(&stack, [no(send, json!({"to": to, "message": "x"}), 504, timed_out)]).await;
    stack.simulator.delete("/faults").await;
    stack.nats.stop().await;
    let (status, answer) = stack.api.post("/api/whatsapp/send-message", json!({"to": to, "message": "x"})).await;
    assert_eq!(status, 503);
    assert_fits(&json!({"success": false, "message": "<text>"}), &answer, "NATS is away");
    stack.nats.start_again().await;
    stack.connected(kurir_test_harness::stack::SOON).await;
    stack.finish().await;
}
