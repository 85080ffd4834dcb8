//! The dispatcher serves its metrics in the format of Prometheus.

use crate::stage::{SOON, Stage};
use kurir_test_harness::{Answer, Port, http, until};

/// Waits until a dispatcher's metrics have this line.
pub async fn shows(listen: &str, line: &str) {
    let client = http::client();
    until(line, SOON, || async {
        let text = client.get(format!("http://{listen}/metrics")).send().await.unwrap().text().await.unwrap();
        if text.lines().any(|said| said == line) { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_by_endpoint_and_result() {
    let stage = Stage::set().await;
    let port = Port::reserve();
    let listen = port.addr().to_string();
    stage.receiver.answers([Answer::status(500), Answer::status(200)]);
    let _dispatcher = stage.dispatcher_with([("HEALTH_LISTEN", listen.as_str())]).await;
    stage.publish("test", "evt_1").await;
    stage.recorded(2).await;
    for line in [
        r#"kurir_webhook_attempts_total{endpoint="default",result="refused"} 1"#,
        r#"kurir_webhook_attempts_total{endpoint="default",result="delivered"} 1"#,
        r#"kurir_webhook_attempts_total{endpoint="default",result="failed"} 0"#,
        r#"kurir_webhook_dead_letters_total{endpoint="default"} 0"#,
        r#"kurir_webhook_in_delivery{endpoint="default"} 0"#,
        r#"kurir_webhook_circuit{endpoint="default"} 0"#,
        "kurir_webhook_attempt_seconds_count 2",
    ] {
        shows(&listen, line).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_without_an_answer_are_counted_by_the_step_that_failed() {
    let stage = Stage::set().await;
    let port = Port::reserve();
    let listen = port.addr().to_string();
    stage.receiver.answers([Answer::Reset, Answer::status(200)]);
    let mut dispatcher = stage.dispatcher_with([("HEALTH_LISTEN", listen.as_str())]).await;
    stage.publish("test", "evt_1").await;
    stage.recorded(2).await;
    shows(&listen, r#"kurir_webhook_missing_answers_total{endpoint="default",phase="response_head"} 1"#).await;
    let line = dispatcher.wait_for_line(|line| line.contains("Webhook attempt 1 failed"), SOON).await;
    assert!(line.contains("response_head"), "{line}");
}
