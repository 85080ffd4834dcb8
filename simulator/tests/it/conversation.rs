//! Conversations with simulated contacts: addresses, groups, media, receipts, repetitions.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::tempdir;
use wacore::{
    download::{Downloadable, MediaType},
    types::presence::ReceiptType,
};
use waproto::whatsapp::{Message, message::ImageMessage};
use whatsapp_rust::{Jid, types::events::Event};
use whatsapp_simulator::{Config, PhoneNumber};

use crate::support::{Phone, Sim};

const ACCOUNT: &str = "15550100001";
const ANNA: &str = "15550200001";
const BEN: &str = "15550200002";

fn lid(number: &str) -> String {
    format!("{}@lid", number.parse::<PhoneNumber>().unwrap().lid())
}

fn pn(number: &str) -> String {
    format!("{number}@s.whatsapp.net")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_writes_by_number_or_by_lid_and_names_the_other() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    for (addressing, from, other) in [("pn", pn(ANNA), lid(ANNA)), ("lid", lid(ANNA), pn(ANNA))] {
        let text = format!("by {addressing}");
        let id = sim.text(ANNA, &text, json!({"addressing": addressing})).await;
        let heard = phone.until_heard(&text).await;
        assert_eq!(heard.chat.to_string(), from);
        assert_eq!(heard.sender_alt.map(|jid| jid.to_string()), Some(other));
        sim.until_state(&id, "acknowledged").await;
    }
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reaches_a_contact_by_number_and_by_lid() {
    for (migrated, addressing) in [(true, "lid"), (false, "pn")] {
        let config = Config { lid_migrated: migrated, ..Config::for_tests() };
        let (sim, folder) = (Sim::with(config).await, tempdir().unwrap());
        let phone = Phone::paired(&sim, folder.path(), None).await;
        let id = phone.send(&pn(ANNA), "to the number").await;
        assert_eq!(phone.until_acked(&id).await, None);
        let received = sim.until_received(ANNA, "to the number").await;
        assert_eq!(received["addressing"], addressing);
        // The account's own phone has a copy.
        let own = sim.until_received(ACCOUNT, "to the number").await;
        assert!(own["sentTo"].as_str().unwrap().contains('@'), "{own}");
        phone.send(&lid(ANNA), "to the lid").await;
        // A client that is not migrated turns the LID back into the number.
        assert_eq!(sim.until_received(ANNA, "to the lid").await["addressing"], addressing);
        phone.shutdown().await;
        sim.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_heard_and_written_to() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let group = sim.post("/groups", json!({"subject": "Lunch", "participants": [ANNA, BEN]})).await;
    let group = group["id"].as_str().unwrap();
    for (contact, text) in [(ANNA, "soup?"), (ANNA, "or salad?"), (BEN, "soup")] {
        let id = sim.text(contact, text, json!({"group": group})).await;
        let heard = phone.until_heard(text).await;
        assert_eq!(heard.chat.to_string(), group);
        assert_eq!(heard.sender.to_string(), lid(contact));
        assert_eq!(sim.until_state(&id, "acknowledged").await[0]["group"], group);
    }
    for text in ["salad for me", "at noon"] {
        let id = phone.send(group, text).await;
        assert_eq!(phone.until_acked(&id).await, None);
        for contact in [ANNA, BEN] {
            let received = sim.until_received(contact, text).await;
            assert_eq!((&received["group"], &received["copies"]), (&json!(group), &json!(1)));
        }
    }
    // Not a member, and no such group.
    let body = json!({"text": "let me in", "group": group});
    assert_eq!(sim.call("POST", "/contacts/15550299999/messages", Some(body)).await.0, 409);
    let body = json!({"text": "nowhere", "group": "1234@g.us"});
    assert_eq!(sim.call("POST", &format!("/contacts/{ANNA}/messages"), Some(body)).await.0, 404);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_go_both_ways_encrypted() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let picture: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
    let body = json!({"type": "image", "mimetype": "image/png", "caption": "look", "base64": BASE64_STANDARD.encode(&picture)});
    sim.post(&format!("/contacts/{ANNA}/messages"), body).await;
    let image: ImageMessage = phone
        .until(|event| match event {
            Event::Messages(batch) => batch.messages[0].message.image_message.as_option().cloned(),
            _ => None,
        })
        .await;
    assert_eq!((image.caption.as_deref(), image.mimetype.as_deref()), (Some("look"), Some("image/png")));
    let medium: &dyn Downloadable = &image;
    assert_eq!(phone.client.download(medium).await.unwrap(), picture);

    let upload = phone.client.upload(picture.clone(), MediaType::Image, Default::default()).await.unwrap();
    let message = Message {
        image_message: buffa::MessageField::some(ImageMessage {
            url: Some(upload.url),
            direct_path: Some(upload.direct_path),
            media_key: Some(upload.media_key.to_vec()),
            file_sha256: Some(upload.file_sha256.to_vec()),
            file_enc_sha256: Some(upload.file_enc_sha256.to_vec()),
            file_length: Some(upload.file_length),
            mimetype: Some("image/png".to_owned()),
            caption: Some("and mine".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    };
    phone.client.send_message(pn(ANNA).parse::<Jid>().unwrap(), message).await.unwrap();
    let received = sim.until_received(ANNA, "and mine").await;
    assert_eq!(received["type"], "image");
    let id = received["id"].as_str().unwrap();
    assert_eq!(sim.bytes(&format!("/contacts/{ANNA}/messages/{id}/media")).await, picture);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_message_arrives() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let bytes = BASE64_STANDARD.encode(b"some bytes");
    let first = sim.text(ANNA, "first", json!({})).await;
    let bodies = [
        json!({"type": "text", "text": "answer", "quoted": first}),
        json!({"type": "video", "base64": bytes}),
        json!({"type": "audio", "base64": bytes, "ptt": true}),
        json!({"type": "document", "base64": bytes, "fileName": "a.pdf"}),
        json!({"type": "sticker", "base64": bytes}),
        json!({"type": "location", "latitude": 1.5, "longitude": 2.5, "name": "Here"}),
        json!({"type": "contact", "displayName": "Ben", "vcard": "BEGIN:VCARD\nEND:VCARD"}),
        json!({"type": "reaction", "target": first, "text": "👍"}),
    ];
    for body in &bodies {
        let answer = sim.post(&format!("/contacts/{ANNA}/messages"), body.clone()).await;
        sim.until_state(answer["id"].as_str().unwrap(), "acknowledged").await;
    }
    let undecryptable = phone.count(|event| matches!(event, Event::UndecryptableMessage(_)));
    assert_eq!(undecryptable, 0);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_given_when_told_so() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.call("PATCH", &format!("/contacts/{ANNA}"), Some(json!({"receipts": "manual"}))).await;
    let id = phone.send(&pn(ANNA), "read this").await;
    sim.until_received(ANNA, "read this").await;
    let kinds = |phone: &Phone| phone.count(|event| matches!(event, Event::Receipt(r) if r.message_ids.contains(&id)));
    assert_eq!(kinds(&phone), 0);
    for (kind, wanted) in [("delivered", ReceiptType::Delivered), ("read", ReceiptType::Read)] {
        sim.call("POST", &format!("/contacts/{ANNA}/receipts"), Some(json!({"id": id, "type": kind}))).await;
        phone
            .until(|event| match event {
                Event::Receipt(receipt) if receipt.r#type == wanted => Some(()),
                _ => None,
            })
            .await;
    }
    // And the other way: the client reads.
    let text = sim.text(ANNA, "have you?", json!({})).await;
    phone.until_heard("have you?").await;
    let chat: Jid = pn(ANNA).parse().unwrap();
    phone.client.mark_as_read(&chat, None, &[text.as_str()]).await.unwrap();
    sim.until(&format!("/contacts/{ANNA}/receipts"), |receipts| {
        let receipts = receipts.as_array().unwrap();
        receipts.iter().any(|receipt| receipt["id"] == text.as_str() && receipt["type"] == "read")
    })
    .await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cannot_decrypt_gets_it_once_more() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.text(ANNA, "before", json!({})).await;
    phone.until_heard("before").await;
    sim.post("/faults", json!({"kind": "corrupt", "times": 1})).await;
    let id = sim.text(ANNA, "damaged on the way", json!({})).await;
    let heard = phone.until_heard("damaged on the way").await;
    assert_eq!(heard.id, id);
    let lines = sim.until_state(&id, "acknowledged").await;
    assert_eq!((lines.as_array().unwrap().len(), &lines[0]["deliveries"]), (1, &json!(2)));
    assert_eq!(sim.get("/statistics").await["retryRequestsFromClient"], 1);
    // In a group as well, with the sender key along.
    let group = sim.post("/groups", json!({"subject": "G", "participants": [ANNA]})).await;
    sim.post("/faults", json!({"kind": "corrupt", "times": 1})).await;
    sim.text(ANNA, "damaged in the group", json!({"group": group["id"]})).await;
    phone.until_heard("damaged in the group").await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_with_a_new_phone_asks_for_what_it_cannot_decrypt() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    phone.send(&pn(ANNA), "to the old phone").await;
    sim.until_received(ANNA, "to the old phone").await;
    // Its answer completes the session: from now on the client does not send prekeys along.
    sim.text(ANNA, "thanks", json!({})).await;
    phone.until_heard("thanks").await;
    // The client does not learn of it.
    sim.post(&format!("/contacts/{ANNA}/reinstall"), json!({"notice": false})).await;
    let id = phone.send(&pn(ANNA), "to the new phone").await;
    let received = sim.until_received(ANNA, "to the new phone").await;
    assert_eq!((received["id"].as_str(), &received["copies"]), (Some(id.as_str()), &json!(1)));
    assert!(sim.get("/statistics").await["retryRequestsToClient"].as_u64() >= Some(1));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_told_of_a_new_phone_writes_to_its_new_keys() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    phone.send(&pn(ANNA), "to the old phone").await;
    sim.text(ANNA, "thanks", json!({})).await;
    phone.until_heard("thanks").await;
    sim.post(&format!("/contacts/{ANNA}/reinstall"), json!({})).await;
    phone.until(|event| matches!(event, Event::IdentityChange(_)).then_some(())).await;
    phone.send(&pn(ANNA), "to the new phone").await;
    sim.until_received(ANNA, "to the new phone").await;
    assert_eq!(sim.get("/statistics").await["retryRequestsToClient"], 0);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_on_whatsapp_is_said_to_be_out() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.call("PATCH", &format!("/contacts/{BEN}"), Some(json!({"registered": false}))).await;
    let asked: Vec<Jid> = [ANNA, BEN].iter().map(|number| pn(number).parse().unwrap()).collect();
    let found = phone.client.contacts().is_on_whatsapp(&asked).await.unwrap();
    let registered: Vec<bool> = found.iter().map(|result| result.is_registered).collect();
    assert_eq!(registered, [true, false]);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn used_up_prekeys_are_replenished() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let keys = |accounts: &Value| accounts[0]["devices"][0]["oneTimePrekeys"].as_u64().unwrap();
    sim.until("/accounts", |accounts| keys(accounts) >= 45).await;
    for contact in 0..60 {
        sim.text(&format!("1555030{contact:04}"), "hi", json!({})).await;
    }
    sim.until("/statistics", |statistics| statistics["prekeyUploads"].as_u64() >= Some(2)).await;
    sim.until("/accounts", |accounts| keys(accounts) >= 20).await;
    sim.until("/messages?state=acknowledged", |lines| lines.as_array().unwrap().len() == 60).await;
    phone.shutdown().await;
    sim.stop().await;
}
