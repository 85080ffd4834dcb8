//! A message from WhatsApp becomes an event in EVENTS; each field is checked.

use crate::world::{BUDI, BUDI_JID, World};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

fn is_iso(timestamp: &Value) -> bool {
    let text = timestamp.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && OffsetDateTime::parse(text, &Rfc3339).is_ok()
}

/// Budi with both addresses.
async fn budi(world: &World) -> Value {
    let contact = world.simulator.get(&format!("/contacts/{BUDI}")).await;
    let lid = contact["lid"].as_str().expect("a LID");
    json!({"jid": BUDI_JID, "pn": BUDI_JID, "lid": format!("{lid}@lid")})
}

#[tokio::test]
async fn a_text_is_one_event_by_number_by_lid_and_in_a_group() {
    let world = World::connected(&[]).await;
    let group = world.simulator.post("/groups", json!({"subject": "Team", "participants": [BUDI]})).await;
    let group = group["id"].as_str().expect("a group's id").to_owned();
    for (how, chat, participant) in [
        (json!({"addressing": "pn"}), BUDI_JID, Value::Null),
        (json!({"addressing": "lid"}), BUDI_JID, Value::Null),
        (json!({"group": group}), group.as_str(), json!(BUDI_JID)),
    ] {
        let budi = budi(&world).await;
        let in_chat = if participant.is_null() { budi.clone() } else { json!({"jid": chat, "pn": null, "lid": null}) };
        let mut message = json!({"text": "halo 👋", "pushName": "Budi"});
        message.as_object_mut().expect("an object").extend(how.as_object().expect("an object").clone());
        let id = world.simulator.contact_sends(BUDI, message).await;
        let event = world.event("message.received", |data| data["messageId"] == id.as_str()).await;
        let data = &event.body["data"];
        assert_eq!(event.subject, "whatsapp.events.default.message.received");
        assert!(event.id.starts_with("evt_"), "{}", event.id);
        assert!(is_iso(&event.body["timestamp"]), "{}", event.body);
        let sent = data["timestamp"].as_i64().expect("milliseconds");
        let now = OffsetDateTime::now_utc().unix_timestamp() * 1000;
        assert!((now - 60_000..=now + 1000).contains(&sent), "{sent} is not now");
        assert_eq!(
            event.body,
            json!({
                "event": "message.received",
                "timestamp": event.body["timestamp"],
                "data": {
                    "messageId": id,
                    "from": chat,
                    "timestamp": sent,
                    "messageType": "text",
                    "content": {"text": "halo 👋"},
                    "sender": {"jid": chat, "pushName": "Budi"},
                    "reply": null,
                    "mentions": [],
                    "mentioned": [],
                    "mentionsAll": false,
                    "related": null,
                    "context": {"ad": null, "channel": null},
                    "forwarded": false,
                    "forwardingScore": 0,
                    "viewOnce": false,
                    "expiresAfter": null,
                    "linkPreview": null,
                    "media": null,
                    "chat": in_chat,
                    "author": budi,
                    "participant": participant,
                    "fromMe": false,
                    "session": "default",
                    "eventId": event.id,
                },
            })
        );
    }
    world.finish().await;
}

#[tokio::test]
async fn other_kinds_come_with_their_content_and_a_reaction_is_none() {
    let world = World::connected(&[]).await;
    let text = world.simulator.contact_writes(BUDI, "first").await;
    let place = json!({"type": "location", "latitude": -6.5, "longitude": 106.5, "name": "Kantor"});
    let place = world.simulator.contact_sends(BUDI, place).await;
    world.simulator.contact_sends(BUDI, json!({"type": "reaction", "target": text, "text": "👍"})).await;
    let card = json!({"type": "contact", "displayName": "Ani", "vcard": "BEGIN:VCARD"});
    world.simulator.contact_sends(BUDI, card).await;
    let card = world.event("message.received", |data| data["messageType"] == "contact").await;
    assert_eq!(card.body["data"]["content"], json!({"displayName": "Ani", "vcard": "BEGIN:VCARD"}));
    let received = world.events_of("message.received").await;
    let kinds: Vec<_> = received.iter().map(|event| event.body["data"]["messageType"].as_str()).collect();
    assert_eq!(kinds, [Some("text"), Some("location"), Some("contact")]);
    assert_eq!(received[1].body["data"]["messageId"], place.as_str());
    assert_eq!(
        received[1].body["data"]["content"],
        json!({"latitude": -6.5, "longitude": 106.5, "name": "Kantor", "address": ""})
    );
    world.finish().await;
}

#[tokio::test]
async fn a_message_that_whatsapp_delivers_twice_is_stored_once() {
    let world = World::connected(&[]).await;
    let fault = json!({"kind": "duplicate", "match": {"direction": "toClient", "contact": BUDI}});
    world.simulator.post("/faults", fault).await;
    for text in ["1", "2", "3"] {
        world.simulator.contact_writes(BUDI, text).await;
    }
    world.event("message.received", |data| data["content"]["text"] == "3").await;
    assert_eq!(world.texts_from(BUDI_JID).await, ["1", "2", "3"]);
    world.finish().await;
}
