//! Locations and contacts: each reaches its recipient unchanged, and its event says the same.

use crate::world::{SOON, World};
use kurir_contract::command::{Command, CommandErrorCode, SendContact, SendLocation, SentMessage};
use serde_json::{Value, json};

const ANI: &str = "6281230000009";

async fn arrives(world: &World, sent: &SentMessage, kind: &str) -> Value {
    let got = world.simulator.contact_receives(ANI, kind, SOON, |got| got["id"] == sent.message_id.as_str()).await;
    assert_eq!(got["type"], kind, "{got}");
    world.data("message.sent", |data| data["messageId"] == sent.message_id.as_str()).await
}

#[tokio::test]
async fn a_location_reaches_the_contact_once_for_its_key() {
    let world = World::connected(&[]).await;
    let to = ANI.parse().expect("a number");
    let (name, address) = ("Monas".to_owned(), String::new());
    let key = Some("place-1".parse().expect("a key"));
    let place = SendLocation {
        to,
        latitude: -6.1754,
        longitude: 106.8272,
        name,
        address,
        quoted: None,
        quote: None,
        idempotency_key: key,
    };
    let sent: SentMessage = world.ask(Command::SendLocation, place.clone()).await.expect("sent");
    let again: SentMessage = world.ask(Command::SendLocation, place.clone()).await.expect("answered");
    assert_eq!(sent, again);
    let data = arrives(&world, &sent, "location").await;
    assert_eq!(data["messageType"], "location");
    assert_eq!(data["content"], json!({"latitude": -6.1754, "longitude": 106.8272, "name": "Monas", "address": ""}));
    assert_eq!(world.simulator.received_by(ANI).await[0]["copies"], 1);
    let other = SendLocation { latitude: 1.0, ..place.clone() };
    let refused = world.ask::<SentMessage>(Command::SendLocation, other).await.expect_err("another place");
    assert_eq!(refused.code, CommandErrorCode::Conflict);
    let nowhere = SendLocation { latitude: 91.0, ..place };
    let refused = world.ask::<SentMessage>(Command::SendLocation, nowhere).await.expect_err("there is none");
    assert_eq!(refused.code, CommandErrorCode::InvalidRequest);
    world.finish().await;
}

#[tokio::test]
async fn a_contact_reaches_the_contact() {
    let world = World::connected(&[]).await;
    let vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Budi\nEND:VCARD".to_owned();
    let to = ANI.parse().expect("a number");
    let card =
        SendContact { to, display_name: "Budi".to_owned(), vcard, quoted: None, quote: None, idempotency_key: None };
    let sent: SentMessage = world.ask(Command::SendContact, card.clone()).await.expect("sent");
    let data = arrives(&world, &sent, "contact").await;
    assert_eq!((&data["messageType"], &data["content"]["displayName"]), (&json!("contact"), &json!("Budi")));
    assert_eq!(data["content"]["vcard"], json!(card.vcard));
    let refused =
        world.ask::<SentMessage>(Command::SendContact, SendContact { vcard: "Budi".to_owned(), ..card }).await;
    assert_eq!(refused.expect_err("no card").code, CommandErrorCode::InvalidRequest);
    world.finish().await;
}
