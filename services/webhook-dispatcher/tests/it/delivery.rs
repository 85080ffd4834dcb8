//! An event is delivered as the contract says, whatever the receiver does with it.

use crate::stage::{SOON, Stage};
use futures::StreamExt as _;
use kurir_contract::{
    delivery::{AttemptResult, DeliveryReport},
    header,
};
use kurir_test_harness::{Answer, Port, Receiver};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_as_it_was_stored_with_the_contracts_headers() {
    let stage = Stage::set().await;
    stage.make_events().await;
    // Stored before any dispatcher ran: the endpoint `default` starts at the first stored event.
    let body = stage.publish("message.received", "evt_1").await;
    let mut dispatcher = stage.dispatcher().await;

    let requests = stage.receiver.wait_for(1, SOON).await;
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/webhook"));
    assert_eq!(request.body, body.to_string().as_bytes());
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("user-agent"), "WhatsApp-API-Webhook/1.0.0");
    assert_eq!(request.header("webhook-id"), "evt_1");
    assert_eq!(request.header("traceparent"), "");

    stage.settled(SOON).await;
    let attempts = stage.recorded(1).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].event_id.as_str(), attempts[0].attempt, attempts[0].sequence), ("evt_1", 1, 1));
    assert!(matches!(&attempts[0].result, AttemptResult::Delivered { status: 200, .. }));
    for line in ["Sending webhook message.received (attempt 1/4)", "Webhook sent successfully: message.received"] {
        dispatcher.wait_for_line(|said| said.contains(line) && said.contains("webhook"), SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_2xx_is_success() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.answers([201_u16, 202, 204, 299]);
    for id in ["evt_1", "evt_2", "evt_3", "evt_4"] {
        stage.publish("test", id).await;
    }
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_an_id_is_named_by_its_sequence_and_its_trace_goes_on() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    stage.publish_with("test", &[(header::TRACEPARENT, trace)]).await;
    stage.jetstream.publish("whatsapp.events.odd", "not JSON".into()).await.unwrap().await.unwrap();
    let mut requests = stage.receiver.wait_for(2, SOON).await;
    requests.sort_by_key(|request| request.header("webhook-id").to_owned());
    assert_eq!(requests[0].header("webhook-id"), "evt_seq1");
    assert_eq!(requests[0].header("traceparent"), trace);
    assert_eq!(requests[1].header("webhook-id"), "evt_seq2");
    assert_eq!(requests[1].body, "not JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_sees_the_delivery_as_a_part_of_the_events_trace() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c";
    let stage = Stage::set().await;
    let collector = Receiver::start().await;
    let endpoint = format!("http://{}", collector.addr());
    let _dispatcher = stage.dispatcher_with([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())]).await;
    stage.publish_with("test", &[(header::TRACEPARENT, &format!("{TRACE}-b7ad6b7169203331-01"))]).await;
    let requests = stage.receiver.wait_for(1, SOON).await;
    let sent = requests[0].header("traceparent");
    assert!(sent.starts_with(TRACE) && !sent.contains("b7ad6b7169203331"), "{sent}");
    let spans = collector.wait_for(1, SOON).await;
    assert_eq!(spans[0].path, "/v1/traces");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_or_drips_is_cut_after_ten_seconds_and_one_that_floods_at_once() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.answer_with(|request| match request.header("webhook-id") {
        "hang" => Answer::Hang,
        "drip" => Answer::Drip,
        "drip-head" => Answer::DripHead,
        "flood" => Answer::Flood,
        _ => Answer::status(200),
    });
    for id in ["hang", "drip", "drip-head", "flood"] {
        stage.publish("test", id).await;
    }
    let mut firsts: Vec<_> = stage.recorded(4).await.into_iter().filter(|attempt| attempt.attempt == 1).collect();
    firsts.sort_by(|a, b| a.event_id.cmp(&b.event_id));
    let ids: Vec<_> = firsts.iter().map(|attempt| attempt.event_id.as_str()).collect();
    assert_eq!(ids, ["drip", "drip-head", "flood", "hang"]);
    for slow in [&firsts[0], &firsts[1], &firsts[3]] {
        assert!((9_900..11_500).contains(&slow.duration_ms), "{slow:?}");
        assert!(matches!(&slow.result, AttemptResult::Failed { class, .. } if class == "timeout"), "{slow:?}");
    }
    // It answered 2xx. The rest of its flood is not read.
    assert!(firsts[2].duration_ms < 10_000, "{:?}", firsts[2]);
    assert!(matches!(&firsts[2].result, AttemptResult::Delivered { status: 200, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_answer_is_a_failure_with_its_class() {
    let stage = Stage::set().await;
    let elsewhere = Receiver::start().await;
    let mut dispatcher = stage.dispatcher().await;
    let redirect = format!("http://{}/secret", elsewhere.addr());
    stage.receiver.answer_with(move |request| match request.header("webhook-id") {
        "redirect" => Answer::redirect(&redirect),
        "garbage" => Answer::Garbage,
        "reset" => Answer::Reset,
        _ => Answer::status(418).body("x".repeat(5_000)),
    });
    for id in ["redirect", "garbage", "reset", "teapot"] {
        stage.publish("test", id).await;
    }
    let recorded = stage.recorded(4).await;
    let result = |id: &str| {
        let attempt = recorded.iter().find(|attempt| attempt.event_id.as_str() == id).unwrap();
        attempt.result.clone()
    };
    assert!(matches!(result("redirect"), AttemptResult::Refused { status: 302, .. }));
    assert!(matches!(result("garbage"), AttemptResult::Failed { class, .. } if class == "invalid"));
    assert!(matches!(result("reset"), AttemptResult::Failed { class, .. } if class == "reset"));
    assert!(matches!(result("teapot"), AttemptResult::Refused { status: 418, body, .. } if body == "x".repeat(1_024)));

    let target = format!("a redirect to http://{}", elsewhere.addr());
    let line = dispatcher.wait_for_line(|line| line.contains(&target), SOON).await;
    assert!(line.contains("Webhook attempt 1 failed") && !line.contains("secret"), "{line}");
    assert_eq!(elsewhere.count(), 0);
    assert!(!dispatcher.output().contains("/webhook\""), "the URL's path is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_is_a_failure_of_connecting() {
    let mut stage = Stage::set().await;
    stage.receiver.stop().await;
    let _dispatcher = stage.dispatcher().await;
    stage.publish("test", "evt_1").await;
    let first = &stage.recorded(1).await[0];
    assert!(
        matches!(&first.result, AttemptResult::Failed { class, phase: Some(phase), .. } if class == "connect" && **phase == *"connect"),
        "{first:?}"
    );
    stage.receiver.start_again();
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_cannot_be_trusted_gets_nothing() {
    let stage = Stage::set().await;
    // It answers a TLS greeting as a server without TLS does.
    let port = Port::reserve();
    let listener = port.listen();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let url = format!("https://{}/secret", port.addr());
    let mut dispatcher = stage.dispatcher_with([("WEBHOOK_URL", url.as_str())]).await;
    stage.publish("test", "evt_1").await;
    let first = &stage.recorded(1).await[0];
    assert!(matches!(&first.result, AttemptResult::Failed { class, .. } if class == "tls"), "{first:?}");
    let line = dispatcher.wait_for_line(|line| line.contains("Webhook attempt 1 failed"), SOON).await;
    assert!(!line.contains("secret"), "{line}");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asked_for_it_hears_how_the_delivery_ended() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    let client = stage.nats.client().await;
    let inbox = client.new_inbox();
    let mut reports = client.subscribe(inbox.clone()).await.unwrap();
    let mut elsewhere = client.subscribe("elsewhere").await.unwrap();
    client.flush().await.unwrap();

    stage.receiver.answers([500_u16]);
    stage.publish_with("test", &[(header::EVENT_ID, "evt_1"), (header::REPORT_TO, &inbox)]).await;
    stage.receiver.wait_for(1, SOON).await;
    stage.publish_with("test", &[(header::EVENT_ID, "evt_2"), (header::REPORT_TO, "elsewhere")]).await;

    let report = tokio::time::timeout(SOON, reports.next()).await.unwrap().unwrap();
    let ended: DeliveryReport = serde_json::from_slice(&report.payload).unwrap();
    assert_eq!((ended.event_id.as_str(), ended.endpoint.as_str()), ("evt_1", "default"));
    assert_eq!((ended.attempt, ended.status, ended.delivered, ended.error), (2, Some(200), true, None));
    stage.settled(SOON).await;
    // The report goes to an inbox only.
    assert!(tokio::time::timeout(Duration::from_millis(300), elsewhere.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_an_endpoint_is_not_delivered_to_it() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.publish_with("error.occurred", &[(header::EVENT_ID, "evt_1"), (header::NOT_FOR, "default")]).await;
    stage.publish_with("error.occurred", &[(header::EVENT_ID, "evt_2"), (header::NOT_FOR, "other")]).await;
    stage.receiver.wait_for(1, SOON).await;
    stage.settled(SOON).await;
    let ids: Vec<_> = stage.receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, ["evt_2"]);
}
