use super::*;
use async_nats::HeaderMap;
use insta::assert_json_snapshot;
use kurir_contract::{
    address::ChatJid,
    event::{
        ConnectionStatus, Content, Envelope, ErrorOccurred, EventId, EventType, MessageReceived, MessageSent, Sender,
    },
    header,
    session::SessionStatus,
    subject,
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

fn stored(kind: &str, payload: impl Into<Bytes>) -> Event {
    let kind: EventType = kind.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::EVENT_ID, ID);
    Event::new(subject::event(&sales(), &kind).into(), 7, Some(headers), payload.into())
}

fn event(kind: &str, data: impl Serialize) -> Event {
    let envelope = Envelope::new(kind.parse().unwrap(), AT, data);
    stored(kind, serde_json::to_vec(&envelope).unwrap())
}

fn received(chat: &str, participant: Option<&str>, content: Content) -> Event {
    event(
        "message.received",
        MessageReceived {
            message_id: "3EB0A1".to_owned(),
            from: ChatJid::from_whatsapp(chat),
            timestamp: 1_795_526_845_000,
            content,
            sender: Sender { jid: ChatJid::from_whatsapp(chat), push_name: "Budi".to_owned() },
            participant: participant.map(ChatJid::from_whatsapp),
            session: sales(),
            event_id: EventId::from_header(ID),
        },
    )
}

fn text() -> Event {
    received("6281234567890@s.whatsapp.net", None, Content::Text { text: "Hello".to_owned() })
}

/// One event of each shape that the contract has, and of those that come with it.
fn events() -> Vec<(&'static str, Event)> {
    let person = "6281234567890@s.whatsapp.net";
    let group = "120363000000000001@g.us";
    let image = Content::Image { caption: "Look".to_owned(), mimetype: "image/jpeg".to_owned() };
    let location =
        Content::Location { latitude: -6.2, longitude: 106.8, name: "Monas".to_owned(), address: "Jakarta".to_owned() };
    let sent = MessageSent {
        message_id: "3EB0B2".to_owned(),
        to: ChatJid::from_whatsapp(person),
        content: Content::Text { text: "Hi".to_owned() },
        timestamp: "2026-11-24T13:27:26.000Z".to_owned(),
        session: sales(),
        event_id: EventId::from_header(ID),
    };
    let connection = |status: SessionStatus, qr_code: Option<&str>| ConnectionStatus {
        is_connected: status == SessionStatus::Connected,
        qr_code: qr_code.map(str::to_owned),
        timestamp: "2026-11-24T13:27:25.042Z".to_owned(),
        session: sales(),
        status,
        reason: None,
        until: None,
    };
    let mut with_file = json!({
        "messageId": "3EB0A2", "from": person, "timestamp": 1_795_526_845_000_i64, "messageType": "document",
        "content": { "fileName": "bill.pdf", "mimetype": "application/pdf" },
        "sender": { "jid": person, "pushName": "Budi" }, "participant": null, "session": "sales", "eventId": ID,
    });
    let downloaded = json!({
        "mediaDownloaded": true, "filename": "document_3EB0A2_1_x.pdf", "filepath": "media/document_3EB0A2_1_x.pdf",
        "fileSize": 12_345, "mimeType": "application/pdf", "downloadUrl": "/media/document_3EB0A2_1_x.pdf",
        "base64": "QUJD",
    });
    for (name, value) in downloaded.as_object().unwrap() {
        with_file["content"][name] = value.clone();
    }
    let raw = json!({ "pollCreationMessage": { "name": "Where?" } });
    let about = |more: Value| {
        let mut data = json!({ "messageId": "3EB0A3", "from": group, "participant": person,
            "timestamp": 1_795_526_845_000_i64, "session": "sales" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let failure = ErrorOccurred {
        error_type: ErrorOccurred::SEND_FAILED.to_owned(),
        error_message: "no".to_owned(),
        context: json!({ "jid": person, "attempts": 3 }),
        timestamp: "2026-11-24T13:27:25.042Z".to_owned(),
    };
    vec![
        ("text", text()),
        ("text_in_a_group", received(group, Some(person), Content::Text { text: "Hello all".to_owned() })),
        ("image_without_a_file", received(person, None, image)),
        ("document_with_its_file", event("message.received", with_file)),
        ("location", received(person, None, location)),
        ("unknown", received(person, None, Content::Unknown { raw })),
        ("sent", event("message.sent", sent)),
        ("sent_on_the_phone", {
            let data = json!({ "messageId": "3EB0B3", "to": person, "messageType": "text", "content": { "text": "Hi" },
                "timestamp": "2026-11-24T13:27:26.000Z", "fromDevice": true });
            event("message.sent", data)
        }),
        ("ack", event("message.ack", about(json!({ "ack": "read", "fromMe": true })))),
        ("reaction", event("message.reaction", about(json!({ "targetMessageId": "3EB0A1", "reaction": "👍" })))),
        ("edited", {
            let data = json!({ "targetMessageId": "3EB0A1", "messageType": "text", "content": { "text": "Better" } });
            event("message.edited", about(data))
        }),
        ("revoked", event("message.revoked", about(json!({ "targetMessageId": "3EB0A1" })))),
        ("connected", event("connection.status", connection(SessionStatus::Connected, None))),
        ("qr_code", event("connection.status", connection(SessionStatus::Pairing, Some("2@abc,def")))),
        ("reconnecting", event("connection.status", connection(SessionStatus::Reconnecting, None))),
        ("logged_out", event("connection.status", connection(SessionStatus::LoggedOut, None))),
        ("call", {
            let data = json!({ "callId": "C1", "from": person, "timestamp": 1_795_526_845_000_i64, "isVideo": true });
            event("call.received", data)
        }),
        ("added_to_a_group", {
            let data = json!({ "group": group, "action": "add", "participants": [person], "author": "629@lid" });
            event("group.participants", data)
        }),
        ("group", event("group.updated", json!({ "group": group, "subject": "Family" }))),
        (
            "presence",
            event("presence.updated", json!({ "chat": group, "participant": person, "presence": "composing" })),
        ),
        ("error", event("error.occurred", failure)),
        ("custom", event("custom.event", json!({ "any": "thing" }))),
    ]
}

/// What is sent, in a form that a person can read.
fn shown(format: Format, event: &Event) -> Value {
    match render(format, event, &sales(), Some(URL)) {
        Rendered::Body { body, content_type, headers } => {
            let headers: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            json!({
                "content-type": content_type.to_str().unwrap(),
                "headers": headers,
                "body": serde_json::from_slice::<Value>(&body).unwrap(),
            })
        }
        Rendered::NoCounterpart => json!("no counterpart"),
    }
}

#[test]
fn each_event_has_its_shape_in_each_format() {
    let shapes = |format| {
        let mut shapes: serde_json::Map<String, Value> =
            events().iter().map(|(name, event)| ((*name).to_owned(), shown(format, event))).collect();
        for shape in shapes.values_mut() {
            // Of each release another one.
            if let Some(version) = shape.pointer_mut("/body/environment/version") {
                *version = "…".into();
            }
        }
        shapes
    };
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_json_snapshot!("cloudevents", shapes(Format::Cloudevents));
        assert_json_snapshot!("waha", shapes(Format::Waha));
        assert_json_snapshot!("evolution", shapes(Format::Evolution));
    });
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
    assert_eq!(shown(Format::Waha, &event)["body"], waha);
    assert_eq!(shown(Format::Evolution, &event)["body"], *evolution);
    for header in shown(Format::Cloudevents, &event)["headers"].as_array().unwrap() {
        assert!(document.lines().any(|line| line == header.as_str().unwrap()), "{header} is not in the document");
    }
}

#[test]
fn the_contracts_format_is_the_stored_bytes_and_not_a_copy() {
    let event = stored("test", &b"  {\"event\" : \"test\"}\n"[..]);
    let Rendered::Body { body, content_type, headers } = render(Format::Kurir, &event, &sales(), None) else {
        panic!("everything has the contract's form")
    };
    assert_eq!(body.as_ptr(), event.payload.as_ptr());
    assert_eq!((body.len(), content_type, headers.len()), (event.payload.len(), JSON, 0));
}

#[test]
fn the_body_of_a_cloud_event_is_a_part_of_the_stored_bytes() {
    let event = stored("a.b", &br#"{"event":"a.b","timestamp":"2026-11-24T13:27:25.042Z","data":{ "n": 1.0 }}"#[..]);
    let Rendered::Body { body, .. } = render(Format::Cloudevents, &event, &sales(), None) else {
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
        let Rendered::Body { body, content_type: seen, headers } = render(Format::Cloudevents, &event, &sales(), None)
        else {
            panic!("everything is a cloud event")
        };
        assert_eq!((&*body, seen.to_str().unwrap(), headers.len()), (payload, content_type, 4));
        for format in [Format::Waha, Format::Evolution] {
            assert_eq!(render(format, &event, &sales(), None), Rendered::NoCounterpart, "{payload:?}");
        }
    }
}

/// Any JSON, with the names that the mappings ask for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(|a|text|image|add|read|composing|connected|628@s\\.whatsapp\\.net|1@g\\.us)".prop_map(Value::from),
    ];
    let name = "(messageId|from|to|participant|participants|timestamp|messageType|content|sender|pushName|text|raw|ack|\
        action|group|presence|chat|status|isConnected|qrCode|callId|fromMe|fromDevice|caption|base64|downloadUrl)";
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
        kind in "(message\\.(received|sent|ack|reaction|edited|revoked)|connection\\.status|call\\.(received|missed)|\
            group\\.(updated|participants)|presence\\.updated|error\\.occurred|x)",
        url in prop::option::of(Just(URL)),
    ) {
        let event = event(&kind, data);
        for format in Format::ALL {
            if let Rendered::Body { body, .. } = render(format, &event, &sales(), url) {
                prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
            }
        }
    }

    #[test]
    fn no_bytes_make_a_mapping_panic(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let event = stored("message.received", payload);
        for format in Format::ALL {
            let _ = render(format, &event, &sales(), Some(URL));
        }
    }
}
