//! Messages that are no text, as they reach the gateway.

use crate::{
    api::{Api, store_messages},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use serde_json::{Value, json};

const LOCATION: &str = "/api/whatsapp/send-location";
const CONTACT: &str = "/api/whatsapp/send-contact";
const BUDI: &str = "6281234567890";
const BUDI_JID: &str = "6281234567890@s.whatsapp.net";

fn replies(command: Command, arguments: &Value) -> Option<Value> {
    let sent = json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}});
    Some(if command == Command::Status { connected() } else { sent })
}

#[tokio::test]
async fn a_location_and_a_contact_are_handed_over() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0FF"]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let place =
        json!({"to": BUDI, "latitude": -6.2, "longitude": 106, "name": " Monas ", "options": {"quoted": "3EB0FF"}});
    let made = json!({"to": BUDI, "displayName": "Ani; Wijaya", "phoneNumber": "+62 812-3456-7891"});
    let given = json!({"to": BUDI, "displayName": "Ani", "vcard": "BEGIN:VCARD\nEND:VCARD"});
    for (path, body) in [(LOCATION, place), (CONTACT, made), (CONTACT, given)] {
        let (status, answer) = api.post(path, &body).await;
        assert_eq!((status, &answer["messageId"]), (200, &json!("3EB0AA")), "{answer}");
    }
    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Ani\\; Wijaya\nTEL;type=CELL;waid=6281234567891:+6281234567891\nEND:VCARD";
    let expected = [
        (
            Command::SendLocation,
            json!({"to": BUDI_JID, "latitude": -6.2, "longitude": 106.0, "name": "Monas", "address": "", "quoted": "3EB0FF"}),
        ),
        (Command::SendContact, json!({"to": BUDI_JID, "displayName": "Ani; Wijaya", "vcard": card, "quoted": null})),
        (
            Command::SendContact,
            json!({"to": BUDI_JID, "displayName": "Ani", "vcard": "BEGIN:VCARD\nEND:VCARD", "quoted": null}),
        ),
    ];
    assert_eq!(gateway.commands(), expected);
    let (_, metrics) = api.get("/api/metrics").await;
    assert_eq!(metrics["data"]["messagesSent"], 3);
}

#[tokio::test]
async fn what_is_no_place_and_no_contact_is_refused_with_what_is_right() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let latitude = "latitude must be a number from -90 to 90";
    let name = "displayName is required: a string of at most 256 characters on one line";
    let card = "vcard must be a string that starts with BEGIN:VCARD, of at most 64 kB";
    for (path, body, message) in [
        (LOCATION, json!({"latitude": 1, "longitude": 1}), "Phone number is required"),
        (LOCATION, json!({"to": BUDI, "longitude": 1}), latitude),
        (LOCATION, json!({"to": BUDI, "latitude": "north", "longitude": 1}), latitude),
        (LOCATION, json!({"to": BUDI, "latitude": 90.1, "longitude": 1}), latitude),
        (LOCATION, json!({"to": BUDI, "latitude": 1, "longitude": 181}), "longitude must be a number from -180 to 180"),
        (
            LOCATION,
            json!({"to": BUDI, "latitude": 1, "longitude": 1, "name": 7}),
            "name must be a string of at most 1000 characters",
        ),
        (CONTACT, json!({"to": BUDI, "phoneNumber": BUDI}), name),
        (CONTACT, json!({"to": BUDI, "displayName": "a\nTEL:1", "phoneNumber": BUDI}), name),
        (CONTACT, json!({"to": BUDI, "displayName": "Ani"}), "Phone number is required"),
        (CONTACT, json!({"to": BUDI, "displayName": "Ani", "phoneNumber": "1@g.us"}), "Invalid phone number format"),
        (CONTACT, json!({"to": BUDI, "displayName": "Ani", "vcard": "Ani"}), card),
    ] {
        let (status, answer) = api.post(path, &body).await;
        assert_eq!((status, &answer["message"]), (400, &json!(message)), "{body}");
    }
    assert_eq!(gateway.asked(), 0);
}
