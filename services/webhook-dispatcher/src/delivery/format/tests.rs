mod events;

use super::{
    event_view::{JSON, RenderedEvent},
    *,
};
use async_nats::HeaderMap;
use bytes::Bytes;
use events::{events, text};
use insta::assert_json_snapshot;
use kurir_contract::{
    event::{EventEnvelope, EventType},
    header, subject,
};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use time::macros::datetime;

const ID: &str = "evt_0123456789abcdef0123456789abcdef";
const AT: time::OffsetDateTime = datetime!(2026-11-24 13:27:25.042 UTC);
const URL: &str = "https://kurir.example";

fn sales() -> SessionId {
    "sales".parse().unwrap()
}

fn stored(kind: &str, payload: impl Into<Bytes>) -> StoredEvent {
    let kind: EventType = kind.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::EVENT_ID, ID);
    StoredEvent::new(subject::event(&sales(), &kind).into(), 7, Some(headers), payload.into())
}

fn event(kind: &str, data: impl Serialize) -> StoredEvent {
    let envelope = EventEnvelope::new(kind.parse().unwrap(), AT, data);
    stored(kind, serde_json::to_vec(&envelope).unwrap())
}

/// What is sent, in a form that a person can read.
fn shown(format: PayloadFormat, event: &StoredEvent) -> Value {
    match render(format, event, &sales(), Some(URL)) {
        RenderedEvent::Body { body, content_type, headers } => {
            let headers: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            json!({
                "content-type": content_type.to_str().unwrap(),
                "headers": headers,
                "body": serde_json::from_slice::<Value>(&body).unwrap(),
            })
        }
        RenderedEvent::NoCounterpart => json!("no counterpart"),
    }
}

#[test]
fn each_event_has_its_shape_in_each_format() {
    let shapes = |format| {
        let mut shapes: serde_json::Map<String, Value> =
            events().iter().map(|(name, event)| ((*name).to_owned(), shown(format, event))).collect();
        for shape in shapes.values_mut() {
            // Each release has another version.
            if let Some(version) = shape.pointer_mut("/body/environment/version") {
                *version = "…".into();
            }
        }
        shapes
    };
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_json_snapshot!("cloudevents", shapes(PayloadFormat::Cloudevents));
        assert_json_snapshot!("waha", shapes(PayloadFormat::Waha));
        assert_json_snapshot!("evolution", shapes(PayloadFormat::Evolution));
    });
}

const FORMATS: [PayloadFormat; 4] =
    [PayloadFormat::Kurir, PayloadFormat::Cloudevents, PayloadFormat::Waha, PayloadFormat::Evolution];

#[test]
fn every_event_about_a_message_names_its_chat_in_every_format() {
    let is_about_message =
        |kind: &str| kind.starts_with("message.") || kind == "poll.vote" || kind == "media.downloaded";
    let all: Vec<_> = events().into_iter().filter(|(_, event)| is_about_message(event.kind.as_str())).collect();
    assert!(all.len() > 30);
    for (name, event) in &all {
        let payload: Value = serde_json::from_slice(&event.payload).unwrap();
        let chat = payload["data"]["chat"]["jid"].as_str().unwrap_or_else(|| panic!("{name} has no chat"));
        assert_eq!(payload["data"]["from"], chat, "{name}");
        for format in FORMATS {
            let shown = shown(format, event);
            let id = chat.split('@').next().unwrap();
            let is_named = shown == json!("no counterpart") || shown["body"].to_string().contains(id);
            assert!(is_named, "{name} in {format:?}: {shown}");
        }
    }
}

#[test]
fn links_to_files_are_whole_in_every_format() {
    let all = events();
    let (_, event) = all.iter().find(|(name, _)| *name == "document_with_its_file").unwrap();
    for format in FORMATS {
        let body = shown(format, event)["body"].to_string();
        assert!(body.contains("\"https://kurir.example/media/document_3EB0A2_1_x.pdf\""), "{format:?}: {body}");
        assert!(!body.contains("\"/media/"), "{format:?}: {body}");
    }
}

#[test]
fn the_document_shows_what_is_sent() {
    let document = include_str!("../../../../../docs/formats.md");
    let examples: Vec<Value> =
        document.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let [ours, waha, evolution] = &examples[..] else { panic!("the document has other examples") };
    let event = stored("message.received", ours.to_string());
    assert_eq!(serde_json::from_slice::<Value>(&text().payload).unwrap(), *ours);
    let mut waha = waha.clone();
    waha["environment"]["version"] = env!("CARGO_PKG_VERSION").into();
    assert_eq!(shown(PayloadFormat::Waha, &event)["body"], waha);
    assert_eq!(shown(PayloadFormat::Evolution, &event)["body"], *evolution);
    for header in shown(PayloadFormat::Cloudevents, &event)["headers"].as_array().unwrap() {
        assert!(document.lines().any(|line| line == header.as_str().unwrap()), "{header} is not in the document");
    }
}

#[test]
fn the_contracts_format_is_the_stored_bytes_and_not_a_copy() {
    let event = stored("test", &b"  {\"event\" : \"test\"}\n"[..]);
    let RenderedEvent::Body { body, content_type, headers } = render(PayloadFormat::Kurir, &event, &sales(), None)
    else {
        panic!("everything has the contract's form")
    };
    assert_eq!(body.as_ptr(), event.payload.as_ptr());
    assert_eq!((body.len(), content_type, headers.len()), (event.payload.len(), JSON, 0));
}

#[test]
fn the_body_of_a_cloud_event_is_a_part_of_the_stored_bytes() {
    let event = stored("a.b", &br#"{"event":"a.b","timestamp":"2026-11-24T13:27:25.042Z","data":{ "n": 1.0 }}"#[..]);
    let RenderedEvent::Body { body, .. } = render(PayloadFormat::Cloudevents, &event, &sales(), None) else {
        panic!("everything is a cloud event")
    };
    assert_eq!(body, &br#"{ "n": 1.0 }"#[..]);
    assert!(event.payload.as_ptr_range().contains(&body.as_ptr()));
}

#[test]
fn what_another_program_stored_is_a_cloud_event_too_and_nothing_in_the_others() {
    for (payload, content_type) in [
        (&b"[1]"[..], "application/json"),
        (b"\xff\x00", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ] {
        let event = stored("message.received", payload);
        let RenderedEvent::Body { body, content_type: seen, headers } =
            render(PayloadFormat::Cloudevents, &event, &sales(), None)
        else {
            panic!("everything is a cloud event")
        };
        assert_eq!((&*body, seen.to_str().unwrap(), headers.len()), (payload, content_type, 4));
        for format in [PayloadFormat::Waha, PayloadFormat::Evolution] {
            assert_eq!(render(format, &event, &sales(), None), RenderedEvent::NoCounterpart, "{payload:?}");
        }
    }
}

/// Any JSON with the names that the mappings read.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(|a|text|image|poll|interactive|template|buttons|list|payment|document|request|contacts|location|event|subject|add|read|composing|connected|628@s\\.whatsapp\\.net|1@g\\.us)".prop_map(Value::from),
    ];
    let name = "(messageId|reactionId|editId|revokeId|voteId|from|to|chat|author|messageAuthor|jid|lid|participant|\
        participants|timestamp|messageType|content|sender|pushName|text|raw|status|emoji|byAdmin|action|change|details|\
        subject|mode|presence|lastSeen|isConnected|qrCode|callId|group|reason|fromMe|fromDevice|caption|base64|\
        downloadUrl|media|voiceNote|reply|quoted|mentions|forwarded|options|selectedOptions|contacts|location|\
        title|footer|buttons|sections|rows|copyCode|url|fileKind|mimetype|amount|price|total)";
    leaf.prop_recursive(3, 40, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..20)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_data_makes_a_mapping_panic_and_what_is_sent_is_json(
        data in any_json(),
        kind in "(media\\.downloaded|message\\.(received|sent|ack|reaction|edited|revoked)|poll\\.vote|connection\\.status|\
            call\\.(received|missed|ended)|\
            group\\.(updated|participants)|presence\\.updated|error\\.occurred|x)",
        url in prop::option::of(Just(URL)),
    ) {
        let event = event(&kind, data);
        for format in PayloadFormat::ALL {
            if let RenderedEvent::Body { body, .. } = render(format, &event, &sales(), url) {
                prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
            }
        }
    }

    #[test]
    fn no_bytes_make_a_mapping_panic(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let event = stored("message.received", payload);
        for format in PayloadFormat::ALL {
            let _ = render(format, &event, &sales(), Some(URL));
        }
    }
}

#[test]
fn fuzz_formats() {
    let session = "sales".parse().expect("a session");
    kurir_fuzz::run("events", |input| {
        let kinds = ["message.received", "message.ack", "group.participants", "connection.status", "call.received"];
        for kind in kinds {
            for format in PayloadFormat::ALL {
                let mut headers = HeaderMap::new();
                headers.insert(header::EVENT_ID, "evt_0123456789abcdef0123456789abcdef");
                let subject = format!("whatsapp.events.sales.{kind}");
                let event = StoredEvent::new(subject.into(), 7, Some(headers), input.to_vec().into());
                if let RenderedEvent::Body { body, .. } =
                    render(format, &event, &session, Some("https://kurir.example"))
                    && !matches!(format, PayloadFormat::Kurir | PayloadFormat::Cloudevents)
                {
                    assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{format:?} writes no JSON");
                }
            }
        }
    });
}
