//! Section "Authentication": where the key may stand, what is said without it, and what is open.

use kurir_test_harness::{Stack, stack::KEY};
use serde_json::{Value, json};

use super::assert_fits;

/// Status and body, with the key given as the row says.
async fn ask(stack: &Stack, call: &str, header: Option<&str>) -> (u16, Value) {
    let (method, path) = call.split_once(' ').unwrap();
    let mut request = stack.api.request(method.parse().unwrap(), path);
    if let Some(key) = header {
        request = request.header("X-API-Key", key);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_opens_what_it_opens() {
    let stack = Stack::start().await;
    let webhook = json!({"success": false, "message": "Invalid or missing API key"});
    let missing = json!({"success": false, "message": "API key is required"});
    let wrong = json!({"success": false, "message": "Invalid API key"});
    let well = json!({"success": true});
    for (call, header, status, answer) in [
        ("GET /api/webhook/status", None, 401, &webhook),
        ("GET /api/webhook/status", Some("wrong"), 401, &webhook),
        ("POST /api/webhook/test", None, 401, &webhook),
        ("POST /api/webhook/send", Some("wrong"), 401, &webhook),
        ("GET /api/whatsapp/status", None, 401, &missing),
        ("GET /api/whatsapp/status", Some("wrong"), 401, &wrong),
        ("GET /api/whatsapp/qr", None, 401, &missing),
        ("POST /api/whatsapp/send-message", Some("wrong"), 401, &wrong),
        ("POST /api/whatsapp/send-media", None, 401, &missing),
        ("POST /api/whatsapp/send-bulk", None, 401, &missing),
        ("POST /api/whatsapp/logout", Some("wrong"), 401, &wrong),
        ("POST /api/metrics/reset", None, 401, &json!({"success": false})),
        ("GET /api/endpoints", None, 401, &json!({"success": false})),
        ("GET /api/webhook/status", Some(KEY), 200, &well),
        ("GET /api/webhook/status?api_key=demo-key", None, 200, &well),
        ("GET /api/whatsapp/status?api_key=demo-key", None, 200, &well),
        ("GET /api/whatsapp/status?api_key=demo-kez", None, 401, &wrong),
        ("GET /api/health", None, 200, &well),
        ("GET /api/health/detailed", None, 200, &well),
        ("GET /api/metrics", None, 200, &well),
        (
            "GET /media/image_3EB0_1795526845000_00112233445566778899aabbccddeeff.jpg",
            None,
            404,
            &json!({"success": false}),
        ),
    ] {
        let (seen, shown) = ask(&stack, call, header).await;
        assert_eq!(seen, status, "{call} with {header:?}: {shown}");
        assert_fits(answer, &shown, call);
    }
    let origin = stack.api.request(reqwest::Method::GET, "/api/health").header("Origin", "https://x.example");
    let answer = origin.send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    stack.finish().await;
}
