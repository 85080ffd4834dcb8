//! One trace goes from a WhatsApp message to the receiver's answer, over all attempts, and one from a call of the API to
//! WhatsApp's acknowledgement. A collector gets the spans as OTLP.

mod otlp;

use crate::expect::{text, webhook};
use kurir_test_harness::{Answer, Receiver, Stack, stack::SOON, until};
use otlp::{CollectedSpan, collected_spans};
use serde_json::json;

const CONTACT: &str = "6281234567890";
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const PRODUCER: u64 = 4;
const ERROR: u64 = 2;

/// A stack whose services send this share of their traces to the collector.
async fn traced_stack(collector: &Receiver, share: &str, log_level: &str) -> Stack {
    let endpoint = format!("http://{}", collector.addr());
    let mut plan = Stack::plan();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER_ARG", share),
        ("LOG_LEVEL", log_level),
    ] {
        plan = plan.gateway(name, value).dispatcher(name, value).api(name, value);
    }
    plan.start().await
}

/// Waits for the spans of a trace that a test looks at, the earliest first.
async fn trace(collector: &Receiver, trace: &str, names: &[&str]) -> Vec<CollectedSpan> {
    let mut spans = until(format!("the spans {names:?} of {trace}"), SOON, || async {
        let spans: Vec<_> = collected_spans(collector).into_iter().filter(|span| span.trace == trace).collect();
        let mut left: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        let found = names.iter().all(|name| {
            let place = left.iter().position(|have| have == name);
            place.map(|place| left.swap_remove(place)).is_some()
        });
        if found { Ok(spans) } else { Err(spans) }
    })
    .await;
    spans.sort_by_key(|span| span.start);
    assert!(spans.iter().all(|span| span.end >= span.start));
    spans
}

fn named<'a>(spans: &'a [CollectedSpan], name: &str) -> Vec<&'a CollectedSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// The parts of a `traceparent`: trace, span, flags.
fn parts(traceparent: &str) -> (String, String, String) {
    let parts: Vec<_> = traceparent.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{traceparent:?}");
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_and_all_attempts_to_deliver_it_are_one_trace() {
    let collector = Receiver::start().await;
    // The log's level does not decide which spans there are.
    let stack = traced_stack(&collector, "1", "error").await;
    // A reset instead would be no attempt of its own: a request that is lost on an idle connection goes out again.
    stack.receiver.answers_to(|request| text(&request.json()) == "traced", [Answer::status(500), Answer::Garbage]);
    stack.simulator.contact_writes(CONTACT, "traced").await;
    let requests = until("three attempts", SOON, || async {
        let requests: Vec<_> =
            stack.receiver.requests().into_iter().filter(|request| text(&request.json()) == "traced").collect();
        if requests.len() == 3 { Ok(requests) } else { Err(requests.len()) }
    })
    .await;
    let (id, _, flags) = parts(requests[0].header("traceparent"));
    assert_eq!(flags, "01");
    let spans = trace(&collector, &id, &["message", "webhook", "webhook", "webhook"]).await;
    let message = named(&spans, "message")[0];
    assert_eq!((message.service.as_str(), message.kind, message.parent.as_str()), ("kurir-gateway", PRODUCER, ""));
    assert_eq!(message.attributes["event.id"], requests[0].header("webhook-id"));
    let attempts = named(&spans, "webhook");
    for (number, (span, request)) in attempts.iter().zip(&requests).enumerate() {
        assert_eq!((span.service.as_str(), span.kind), ("kurir-webhook-dispatcher", CLIENT));
        assert_eq!(span.parent, message.id);
        assert_eq!(span.attributes["attempt.number"], (number + 1).to_string());
        assert_eq!(span.attributes["endpoint.id"], "default");
        assert_eq!((id.clone(), span.id.clone(), "01".to_owned()), parts(request.header("traceparent")));
    }
    assert_eq!(attempts[0].attributes["http.response.status_code"], "500");
    assert_eq!(attempts[1].attributes["failure.phase"], "response_head");
    assert_eq!(attempts[2].attributes["http.response.status_code"], "200");
    assert_eq!((attempts[0].status, attempts[1].status, attempts[2].status), (ERROR, ERROR, 1));
    let told = format!("{spans:?}");
    assert!(!told.contains("traced") && !told.contains(CONTACT), "a span holds a message or a number: {told}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_whatsapps_acknowledgement_are_in_the_callers_trace() {
    let collector = Receiver::start().await;
    let stack = traced_stack(&collector, "1", "info").await;
    let (id, caller) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let sent = stack
        .api
        .request(reqwest::Method::POST, "/api/whatsapp/send-message")
        .header("X-API-Key", kurir_test_harness::stack::KEY)
        .header("traceparent", format!("00-{id}-{caller}-01"))
        .json(&json!({"to": CONTACT, "message": "hello"}));
    assert_eq!(sent.send().await.unwrap().status(), 200);
    let request = webhook(&stack.receiver, "message.sent", |body| body["event"] == "message.sent").await;
    assert_eq!(parts(request.header("traceparent")).0, id);
    let names = ["POST /api/whatsapp/send-message", "command", "whatsapp send", "webhook"];
    let spans = trace(&collector, id, &names).await;
    let [call, send, webhook] = [names[0], names[2], names[3]].map(|name| named(&spans, name)[0]);
    // Before the send the API may ask the gateway something else.
    let command = named(&spans, "command").into_iter().find(|command| command.id == send.parent).expect("the command");
    assert_eq!((call.service.as_str(), call.kind, call.parent.as_str()), ("kurir-api", SERVER, caller));
    assert_eq!(call.attributes["http.response.status_code"], "200");
    assert_eq!((command.service.as_str(), command.kind, &command.parent), ("kurir-gateway", SERVER, &call.id));
    assert_eq!((send.kind, send.status), (CLIENT, 1));
    assert_eq!((webhook.service.as_str(), &webhook.parent), ("kurir-webhook-dispatcher", &command.id));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_is_passed_on_and_not_collected() {
    let collector = Receiver::start().await;
    let stack = traced_stack(&collector, "0", "info").await;
    stack.simulator.contact_writes(CONTACT, "not collected").await;
    let request = webhook(&stack.receiver, "the message", |body| text(body) == "not collected").await;
    assert_eq!(parts(request.header("traceparent")).2, "00");
    let (status, answer) = stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "x"})).await;
    assert_eq!(status, 200, "{answer}");
    stack.settled().await;
    // The services send what they have when they end.
    stack.finish().await;
    assert_eq!(collector.count(), 0);
}
