use super::*;
use crate::{
    address::ChatJid,
    endpoint::{SigningSecret, StoredSecret},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

const URL: &str = "https://example.org/hook";

fn refused(field: &str, value: Value) -> Vec<String> {
    let mut body = json!({"url": URL});
    body[field] = value;
    let problems = parse_settings(&body, None).err().unwrap_or_default();
    problems.into_iter().map(|problem| format!("{} {}", problem.field, problem.message)).collect()
}

#[test]
fn every_field_is_read() {
    let secret = SigningSecret::random();
    let body = json!({
        "url": URL, "description": "CRM", "enabled": false, "sessions": ["sales"], "events": ["message.*"],
        "filter": {"chats": ["+49 170 0000001"], "senders": ["120@lid"], "chatType": "direct", "fromMe": false, "fromApi": false},
        "headers": {"Authorization": "Bearer x"}, "secret": secret.reveal(), "retry": [1, 2],
        "retryJitterPercent": 20, "giveUpOn": [400, 404], "timeoutSeconds": 5, "concurrency": 2,
        "rateLimitPerSecond": 0.5, "ordering": "chat", "format": "evolution", "base64": true, "metadata": {"team": "blue"},
    });
    let read = parse_settings(&body, None).unwrap();
    let expected = EndpointSettings {
        description: "CRM".to_owned(),
        enabled: false,
        sessions: vec!["sales".parse().unwrap()],
        events: vec!["message.*".parse().unwrap()],
        filter: ContentFilter {
            chats: vec![ChatJid::from_whatsapp("491700000001@s.whatsapp.net")],
            senders: vec![ChatJid::from_whatsapp("120@lid")],
            chat_type: Some(ChatType::Direct),
            from_me: Some(false),
            from_api: Some(false),
        },
        headers: BTreeMap::from([("authorization".to_owned(), "Bearer x".to_owned())]),
        secrets: vec![StoredSecret::new(secret)],
        retry: RetrySchedule::Own(vec![1, 2]),
        retry_jitter_percent: 20,
        give_up_on: vec![400, 404],
        timeout_seconds: 5,
        concurrency: 2,
        rate_limit_per_second: Some(0.5),
        ordering: EventOrdering::Chat,
        format: PayloadFormat::Evolution,
        base64: true,
        metadata: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        ..EndpointSettings::new(URL.to_owned())
    };
    assert_eq!(read, expected);

    // A change touches what it names, and null takes a field back to its default.
    let changed = parse_settings(&json!({"description": "x", "retry": null, "filter": {"fromMe": true}}), Some(&read));
    let filter = ContentFilter { from_me: Some(true), ..ContentFilter::default() };
    let expected = EndpointSettings { description: "x".to_owned(), retry: RetrySchedule::Patient, filter, ..expected };
    assert_eq!(changed.unwrap(), expected);
    assert_eq!(expected.retry.total_delay(), Duration::from_secs(80_632));
}

#[test]
fn who_switches_an_endpoint_takes_the_reason_away() {
    let disabled = EndpointSettings {
        enabled: false,
        disabled_reason: Some("it failed".to_owned()),
        ..EndpointSettings::new("https://example.org/".to_owned())
    };
    for (switch, enabled) in [(json!(true), true), (json!(false), false), (json!(null), true)] {
        let after = parse_settings(&json!({"enabled": switch}), Some(&disabled)).unwrap();
        assert_eq!((after.enabled, after.disabled_reason), (enabled, None), "{switch}");
    }
}

#[test]
fn a_wrong_field_is_refused_with_what_is_right() {
    for (field, value, expected) in [
        ("url", json!("ftp://example.org/"), "url begins with ftp:, only http and https are supported"),
        ("url", json!("example.org"), "url is no URL"),
        ("url", json!(null), "url must be a string"),
        ("description", json!("x".repeat(501)), "description has 501 characters"),
        ("enabled", json!("yes"), "enabled must be true or false"),
        ("sessions", json!(["a b"]), "sessions \"a b\" is no session name"),
        ("events", json!(["*.received"]), "events names \"*.received\", which no event is called"),
        ("events", json!("message.*"), "events must be a list of strings"),
        ("filter", json!([]), "filter must be an object"),
        ("filter", json!({"chat": []}), "filter.chat is not known"),
        ("filter", json!({"chats": ["12"]}), "filter.chats \"12\": Invalid phone number format"),
        ("filter", json!({"chatType": "channel"}), "filter.chatType must be \"direct\" or \"group\""),
        ("headers", json!({"a b": "c"}), "headers \"a b\" is no name of a header"),
        ("headers", json!({"Host": "c"}), "headers \"host\" is set by Kurir itself"),
        ("headers", json!({"Webhook-Id": "c"}), "headers \"webhook-id\" is set by Kurir itself"),
        ("headers", json!({"Ce-Id": "c"}), "headers \"ce-id\" is set by Kurir itself"),
        ("headers", json!({"Traceparent": "c"}), "headers \"traceparent\" is set by Kurir itself"),
        ("headers", json!({"Kurir-Replay": "c"}), "headers \"kurir-replay\" is set by Kurir itself"),
        ("headers", json!({"a": "b\r\nc: d"}), "headers the value of \"a\" has characters"),
        ("headers", json!({"a": "b".repeat(5_000)}), "headers have 5001 bytes"),
        ("secret", json!("abc"), "secret must be \"whsec_\""),
        ("retry", json!("often"), "retry must be \"default\", \"patient\" or a list of seconds"),
        ("retryJitterPercent", json!(101), "retryJitterPercent must be a whole number from 0 to 100"),
        ("giveUpOn", json!([200]), "giveUpOn must be a list of HTTP statuses from 300 to 599"),
        ("timeoutSeconds", json!(0), "timeoutSeconds must be a whole number from 1 to 60"),
        ("concurrency", json!(1.5), "concurrency must be a whole number from 1 to 256"),
        ("rateLimitPerSecond", json!(0), "rateLimitPerSecond must be a number from 0.01 to 10000"),
        ("ordering", json!("strict"), "ordering must be \"none\" or \"chat\""),
        ("format", json!("xml"), "format must be \"kurir\" or \"cloudevents\" or \"waha\" or \"evolution\""),
        ("base64", json!("yes"), "base64 must be true or false"),
        ("metadata", json!({"a": 1}), "metadata \"a\" must be a string"),
        ("colour", json!("blue"), "colour is not known"),
        ("colour", json!(null), "colour is not known"),
    ] {
        let refused = refused(field, value.clone());
        assert!(refused.len() == 1 && refused[0].starts_with(expected), "{field} {value}: {refused:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let problems = parse_settings(&json!({"timeoutSeconds": 0, "concurrency": 0}), None).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["url", "concurrency", "timeoutSeconds"]);
    assert_eq!(parse_settings(&json!([]), None).unwrap_err()[0].field, "body");
}

#[test]
fn settings_that_let_nothing_arrive_are_refused() {
    for (body, field) in [
        (json!({"url": URL, "format": "waha", "base64": true}), "base64"),
        (json!({"url": URL, "format": "waha", "events": ["job.*"]}), "events"),
        (json!({"url": URL, "events": ["message.recieved"]}), "events"),
        (json!({"url": URL, "events": ["message.received"], "filter": {"fromMe": true}}), "filter.fromMe"),
        (json!({"url": URL, "events": ["message.sent"], "filter": {"fromMe": false}}), "filter.fromMe"),
        (json!({"url": URL, "filter": {"chats": ["120363000000000001@g.us"], "chatType": "direct"}}), "filter.chats"),
    ] {
        let problems = parse_settings(&body, None).expect_err("refused");
        assert_eq!(problems.first().map(|problem| problem.field.as_str()), Some(field), "{body}");
    }
    for body in [
        json!({"url": URL, "format": "evolution", "base64": true, "events": ["MESSAGES_UPSERT"]}),
        json!({"url": URL, "format": "waha", "events": ["message"], "filter": {"fromMe": false}}),
        json!({"url": URL, "events": ["message.sent", "message.received"], "filter": {"fromMe": true}}),
        json!({"url": URL, "events": ["custom.order"], "filter": {"fromMe": true}}),
    ] {
        assert!(parse_settings(&body, None).is_ok(), "{body}");
    }
}
