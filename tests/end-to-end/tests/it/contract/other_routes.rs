//! Section "Other routes".

use kurir_test_harness::Stack;
use serde_json::json;

use super::{check, row};

#[tokio::test(flavor = "multi_thread")]
async fn each_route_answers_as_it_always_did() {
    let stack = Stack::start().await;
    let health = json!({"success": true, "message": "WhatsApp API is running", "timestamp": "<ISO>", "uptime": "<number>", "version": "<text>"});
    let detailed = json!({
        "success": true, "message": "WhatsApp API detailed health check", "timestamp": "<ISO>", "uptime": "<number>",
        "version": "<text>", "environment": "development", "memory": {"rss": "<n MB>"}, "platform": "<text>",
    });
    let counts = json!({
        "messagesSent": 1, "messagesFailed": 1, "mediaSent": 0, "mediaFailed": 0, "bulkRequests": 1, "bulkMessagesSent": 1,
        "bulkMessagesFailed": 0, "qrCodeRequests": 1, "apiRequests": "<number>", "apiErrors": 1, "startTime": "<milliseconds>",
        "lastActivity": "<number>", "uptime": "<number>", "successRate": "<number>", "hourlyStats": "<object>",
        "dailyStats": "<object>",
    });
    let zero = json!({"messagesSent": 0, "messagesFailed": 0, "bulkRequests": 0, "qrCodeRequests": 0, "apiErrors": 0});
    let send = "POST /api/whatsapp/send-message";
    stack.simulator.patch("/contacts/6289999999999", json!({"registered": false})).await;
    check(
        &stack,
        [
            row("GET /api/health", json!(null), 200, health),
            row("GET /api/health/detailed", json!(null), 200, detailed),
            row(send, json!({"to": "6281234567890", "message": "x"}), 200, json!({"success": true})),
            row(send, json!({"to": "6289999999999", "message": "x"}), 404, json!({"success": false})),
            row(
                "POST /api/whatsapp/send-bulk",
                json!({"messages": [{"to": "6281234567890", "message": "x"}]}),
                200,
                json!({"success": true}),
            ),
            row("GET /api/whatsapp/qr", json!(null), 200, json!({"success": false})),
            row("GET /api/metrics", json!(null), 200, json!({"success": true, "data": counts})),
            row(
                "POST /api/metrics/reset",
                json!(null),
                200,
                json!({"success": true, "message": "Metrics reset successfully"}),
            ),
            row("GET /api/metrics", json!(null), 200, json!({"success": true, "data": zero})),
        ],
    )
    .await;
    stack.finish().await;
}
