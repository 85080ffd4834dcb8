use super::*;
use serde_json::json;

fn facts(event: &str, data: Value) -> EventFacts {
    let body = json!({"event": event, "timestamp": "2026-11-29T10:00:00.000Z", "data": data}).to_string();
    read_event(&StoredEvent {
        sequence: 7,
        subject: &format!("whatsapp.events.sales.{event}"),
        id: Some("evt_1"),
        is_synthetic: false,
        stored_at: 5,
        payload: body.as_bytes(),
    })
    .expect("an event")
}

#[test]
fn a_received_message_has_its_chat_its_writer_and_its_text() {
    let found = facts(
        "message.received",
        json!({
            "messageId": "A1", "from": "1@s.whatsapp.net", "timestamp": 1_700_000_000_000_i64, "messageType": "image",
            "content": {"caption": "Héllo", "mimetype": "image/jpeg", "filename": "f.jpg"},
            "sender": {"jid": "1@s.whatsapp.net", "pushName": "Sari"},
            "chat": {"jid": "1@s.whatsapp.net", "pn": null, "lid": null},
            "author": {"jid": "1@s.whatsapp.net", "pn": null, "lid": "9@lid"}, "fromMe": false,
        }),
    );
    assert_eq!((found.session.as_str(), found.at, found.from_me), ("sales", 1_700_000_000_000, false));
    assert_eq!(found.chat.as_deref(), Some("1@s.whatsapp.net"));
    let author = found.author.expect("a writer");
    assert_eq!((author.name.as_deref(), author.lid.as_deref()), (Some("Sari"), Some("9@lid")));
    let change = MessageChange::Written { kind: "image".into(), text: "Héllo".into(), file: Some("f.jpg".into()) };
    assert_eq!(found.change, change);
}

#[test]
fn what_happens_to_a_message_is_a_change_of_it() {
    for (event, data, expected) in [
        ("message.ack", json!({"messageId": "A", "status": "read"}), MessageChange::Status("read".into())),
        ("message.edited", json!({"messageId": "A", "content": {"text": "b"}}), MessageChange::Edited("b".into())),
        ("message.revoked", json!({"messageId": "A"}), MessageChange::Revoked),
        ("message.reaction", json!({"messageId": "A", "emoji": "👍"}), MessageChange::Reaction("👍".into())),
        ("connection.status", json!({"status": "connected"}), MessageChange::None),
    ] {
        assert_eq!(facts(event, data).change, expected, "{event}");
    }
    assert_eq!(facts("job.done", json!({"jobId": "job_1", "state": "done"})).reference.as_deref(), Some("job_1"));
}

#[test]
fn no_shape_of_an_event_is_taken_for_granted() {
    let long = "ü".repeat(40_000);
    for data in [
        json!(null),
        json!([]),
        json!({"from": 7, "chat": [], "messageId": {}, "timestamp": -1}),
        json!({"content": {"text": long}, "messageId": long, "timestamp": i64::MAX, "author": {"jid": ""}}),
    ] {
        let found = facts("message.received", data);
        assert_eq!((found.message_id, found.author), (None, None));
        assert_eq!(found.at, 1_796_119_200_000_i64.min(found.at));
        if let MessageChange::Written { text, .. } = found.change {
            assert!(text.len() <= LONGEST_TEXT);
        }
    }
    let no_json = StoredEvent {
        sequence: 1,
        subject: "whatsapp.events.default.test",
        id: None,
        is_synthetic: true,
        stored_at: 3,
        payload: b"\xff",
    };
    assert_eq!(read_event(&no_json).map(|found| (found.id, found.at)), Some(("seq_1".to_owned(), 3)));
    assert_eq!(read_event(&StoredEvent { subject: "other", ..no_json }), None);
}
