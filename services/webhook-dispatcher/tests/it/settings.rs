//! A setting that cannot work is refused with its fix. No WEBHOOK_URL means no webhooks.

use crate::stage::{SOON, Stage};
use kurir_test_harness::{Port, http, until};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_end_with_64_and_say_what_is_right() {
    let stage = Stage::set().await;
    for (variable, value, said) in [
        ("WEBHOOK_URL", "ftp://example.org/secret", "http"),
        ("WEBHOOK_URL", "example.org", "http://localhost:5678/webhook"),
        ("WEBHOOK_ACK_WAIT", "10s", "15s"),
        ("DRAIN_TIMEOUT", "1s", "10s"),
        ("HEALTH_LISTEN", "8081", "127.0.0.1:8081"),
        ("WEBHOOK_CONCURRENCY", "0", "1..=1024"),
    ] {
        let mut dispatcher = stage.start([(variable, value)]);
        assert_eq!(dispatcher.exited(SOON).await.code(), Some(64), "{variable}={value}");
        let output = dispatcher.output();
        let named = variable.to_lowercase().replace('_', "-");
        assert!(output.contains(variable) || output.contains(&named), "{output}");
        assert!(output.contains(said) && !output.contains("secret"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_url_it_is_ready_and_takes_nothing() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_URL", "")]).await;
    stage.publish("test", "evt_1").await;
    let events = stage.jetstream.get_stream("EVENTS").await.unwrap();
    assert_eq!(events.cached_info().state.consumer_count, 0);

    // Enabled later, it starts at the first stored event.
    let _enabled = stage.dispatcher().await;
    stage.receiver.wait_for(1, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_whether_it_works() {
    let mut stage = Stage::set().await;
    let port = Port::reserve();
    let listen = port.addr().to_string();
    let _dispatcher = stage.dispatcher_with([("HEALTH_LISTEN", listen.as_str())]).await;
    let client = http::client();
    let status =
        async |path: &str| client.get(format!("http://{listen}{path}")).send().await.unwrap().status().as_u16();
    assert_eq!((status("/livez").await, status("/readyz").await), (200, 200));

    let pong = stage.nats.client().await.request("kurir.services.webhook-dispatcher.ping", "".into()).await.unwrap();
    let pong: kurir_contract::service::PingReply = serde_json::from_slice(&pong.payload).unwrap();
    assert!(pong.ready);

    stage.nats.stop().await;
    until("not to be ready", Duration::from_secs(10), || async { status("/readyz").await == 503 }).await;
    assert_eq!(status("/livez").await, 200);
}
