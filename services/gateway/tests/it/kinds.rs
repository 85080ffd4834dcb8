//! Every kind of message becomes one event with its content, in any envelope, and none becomes an error.

use crate::world::{BUDI, BUDI_JID, World};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use serde_json::{Value, json};
use waproto::whatsapp::{
    Message,
    message::{EventMessage, InvoiceMessage, ProductMessage, product_message::ProductSnapshot},
};

/// The `data` of the event of a message that Budi sends.
async fn received(world: &World, message: Value) -> Value {
    let id = world.simulator.contact_sends(BUDI, message).await;
    world.event("message.received", |data| data["messageId"] == id.as_str()).await.body["data"].clone()
}

fn raw(message: Message) -> Value {
    json!({"type": "raw", "base64": BASE64_STANDARD.encode(message.encode_to_vec())})
}

#[tokio::test]
async fn each_kind_of_the_contract_has_its_content() {
    // The tests in `media` check what happens to files.
    let world = World::connected(&[("MEDIA_DOWNLOAD", "false")]).await;
    let file = "aGVsbG8=";
    for (message, kind, content) in [
        (
            json!({"type": "image", "base64": file, "caption": "sea"}),
            "image",
            json!({"caption": "sea", "text": "sea", "mimetype": "image/jpeg"}),
        ),
        (json!({"type": "video", "base64": file}), "video", json!({"caption": "", "mimetype": "video/mp4"})),
        (
            json!({"type": "video", "base64": file, "round": true}),
            "video",
            json!({"caption": "", "mimetype": "video/mp4"}),
        ),
        (json!({"type": "audio", "base64": file}), "audio", json!({"mimetype": "audio/ogg; codecs=opus"})),
        (
            json!({"type": "document", "base64": file, "fileName": "a.pdf"}),
            "document",
            json!({"fileName": "a.pdf", "mimetype": "application/pdf"}),
        ),
        (json!({"type": "sticker", "base64": file}), "sticker", json!({"mimetype": "image/webp"})),
        (
            json!({"type": "contact", "displayName": "Ani", "vcard": "BEGIN:VCARD"}),
            "contact",
            json!({"displayName": "Ani", "vcard": "BEGIN:VCARD"}),
        ),
        (
            json!({"type": "location", "latitude": -6.5, "longitude": 106.5, "name": "Kantor"}),
            "location",
            json!({"latitude": -6.5, "longitude": 106.5, "name": "Kantor", "address": ""}),
        ),
    ] {
        let data = received(&world, message).await;
        assert_eq!((&data["messageType"], &data["content"]), (&json!(kind), &content));
    }
    world.finish().await;
}

#[tokio::test]
async fn kurirs_own_kinds_have_theirs_and_the_rest_is_raw() {
    let world = World::connected(&[]).await;
    let event = EventMessage { name: Some("Launch".to_owned()), start_time: Some(9), ..Default::default() };
    let event = Message { event_message: MessageField::some(event), ..Default::default() };
    let shown = ProductSnapshot { title: Some("Cup".to_owned()), ..Default::default() };
    let product = ProductMessage { product: MessageField::some(shown), ..Default::default() };
    let product = Message { product_message: MessageField::some(product), ..Default::default() };
    let card = json!({"displayName": "Ani", "vcard": "BEGIN:VCARD"});
    for (message, kind, content) in [
        (
            json!({"type": "contacts", "displayName": "1 contact", "contacts": [card]}),
            "contacts",
            json!({"displayName": "1 contact", "contacts": [card]}),
        ),
        (
            json!({"type": "live_location", "latitude": 1.5, "longitude": 2.5, "caption": "on my way"}),
            "live_location",
            json!({"latitude": 1.5, "longitude": 2.5, "caption": "on my way", "text": "on my way", "accuracy": null, "speed": null, "sequence": null}),
        ),
        (
            json!({"type": "poll", "name": "Lunch?", "options": ["Rice", "Soup"]}),
            "poll",
            json!({"name": "Lunch?", "options": ["Rice", "Soup"], "selectable": 1}),
        ),
        (
            json!({"type": "list_reply", "text": "Tea", "target": "row-1"}),
            "list_reply",
            json!({"title": "Tea", "description": "", "rowId": "row-1"}),
        ),
        (
            json!({"type": "button_reply", "text": "Yes", "target": "yes"}),
            "button_reply",
            json!({"text": "Yes", "buttonId": "yes"}),
        ),
        (
            raw(event),
            "event",
            json!({"name": "Launch", "description": "", "startsAt": 9, "endsAt": null, "location": null,
                "joinLink": null, "cancelled": false}),
        ),
        (
            raw(product),
            "product",
            json!({"title": "Cup", "description": "", "productId": "", "url": "", "text": "", "footer": null,
                "sku": null, "price": null, "salePrice": null, "currency": null}),
        ),
    ] {
        let data = received(&world, message).await;
        assert_eq!((&data["messageType"], &data["content"]), (&json!(kind), &content));
    }
    let invoice = InvoiceMessage { note: Some("for lunch".to_owned()), ..Default::default() };
    let invoice = Message { invoice_message: MessageField::some(invoice), ..Default::default() };
    let data = received(&world, raw(invoice)).await;
    assert_eq!(data["messageType"], "unknown");
    assert_eq!(data["content"]["raw"]["invoiceMessage"]["note"], "for lunch");
    world.finish().await;
}

#[tokio::test]
async fn what_comes_with_a_message_is_told_beside_it() {
    let world = World::connected(&[]).await;
    let question = world.simulator.contact_writes(BUDI, "a question").await;
    let account = world.account().await;
    let answer = json!({
        "text": "an answer", "quoted": question, "quotedAuthor": BUDI, "quotedText": "a question",
        "mentions": [account], "forwarded": true, "expiresAfter": 86_400, "addressing": "lid",
    });
    let data = received(&world, answer).await;
    assert_eq!((&data["messageType"], &data["content"]), (&json!("text"), &json!({"text": "an answer"})));
    let quoted = json!({"messageType": "text", "content": {"text": "a question"}});
    assert_eq!(data["reply"], json!({"messageId": question, "author": BUDI_JID, "chat": null, "quoted": quoted}));
    assert_eq!(data["mentions"], json!([format!("{account}@s.whatsapp.net")]));
    assert_eq!((&data["forwarded"], &data["forwardingScore"]), (&json!(true), &json!(1)));
    assert_eq!(data["expiresAfter"], 86_400);

    let once =
        received(&world, json!({"type": "image", "base64": "aGVsbG8=", "viewOnce": true, "caption": "once"})).await;
    assert_eq!((&once["messageType"], &once["viewOnce"]), (&json!("image"), &json!(true)));
    let voice = received(&world, json!({"type": "audio", "base64": "aGVsbG8=", "ptt": true, "seconds": 3})).await;
    let media = (&voice["media"]["voiceNote"], &voice["media"]["seconds"], &voice["media"]["bytes"]);
    assert_eq!(media, (&json!(true), &json!(3), &json!(5)));
    let round = received(&world, json!({"type": "video", "base64": "aGVsbG8=", "round": true})).await;
    assert_eq!(round["media"]["round"], true);
    world.finish().await;
}

#[tokio::test]
async fn a_status_is_an_event_only_if_statuses_are_asked_for() {
    for asked in [false, true] {
        let world = World::connected(&[("WHATSAPP_STATUS_BROADCAST", &asked.to_string())]).await;
        world.simulator.contact_sends(BUDI, json!({"text": "at the sea", "status": true})).await;
        world.simulator.contact_writes(BUDI, "a message").await;
        if asked {
            let data = world.data("message.received", |data| data["from"] == "status@broadcast").await;
            assert_eq!((&data["content"]["text"], &data["participant"]), (&json!("at the sea"), &json!(BUDI_JID)));
        }
        world.event("message.received", |data| data["content"]["text"] == "a message").await;
        assert_eq!(world.events_of("message.received").await.len(), if asked { 2 } else { 1 });
        world.finish().await;
    }
}

/// A document as the sender's app wrote it: its address and keys are in the message that the simulator sends.
fn document_in_template(sent: &Message) -> Message {
    use waproto::whatsapp::message::template_message::{
        Format, HydratedFourRowTemplate, hydrated_four_row_template::Title,
    };
    let document = sent.document_message.as_option().expect("a document").clone();
    let template = HydratedFourRowTemplate {
        title: Some(Title::DocumentMessage(Box::new(document))),
        hydrated_content_text: Some("Your code is 123456".to_owned()),
        hydrated_footer_text: Some("Thanks".to_owned()),
        ..Default::default()
    };
    let template = waproto::whatsapp::message::TemplateMessage {
        format: Some(Format::HydratedFourRowTemplate(Box::new(template))),
        ..Default::default()
    };
    Message { template_message: MessageField::some(template), ..Default::default() }
}

#[tokio::test]
async fn the_bill_in_a_template_is_downloaded_and_raw_has_no_keys() {
    let world = World::connected(&[("INCLUDE_RAW", "true")]).await;
    // The file is put into WhatsApp's store, and its description is read from the message that its sender kept.
    let file = json!({"type": "document", "size": 5_000, "fileName": "bill.pdf"});
    let id = world.simulator.contact_sends(BUDI, file).await;
    let first = world.data("message.received", |data| data["messageId"] == id.as_str()).await;
    let raw_document = &first["raw"]["documentMessage"];
    assert!(raw_document["directPath"].is_string() && raw_document["fileSha256"].is_string(), "{raw_document}");
    assert!(!first["raw"].to_string().contains("mediaKey"), "{}", first["raw"]);
    let sent = world.simulator.get(&format!("/contacts/{BUDI}/sent/{id}")).await;
    let bytes = BASE64_STANDARD.decode(sent["base64"].as_str().expect("bytes")).expect("base64");
    let sent = Message::decode_from_slice(&bytes).expect("protobuf");
    let data = received(&world, raw(document_in_template(&sent))).await;
    let content = &data["content"];
    assert_eq!((&data["messageType"], &content["text"]), (&json!("template"), &json!("Your code is 123456")));
    assert_eq!((&content["fileKind"], &content["fileName"]), (&json!("document"), &json!("bill.pdf")));
    assert_eq!((&content["mediaDownloaded"], &content["fileSize"]), (&json!(true), &json!(5_000)));
    assert!(content["filename"].as_str().is_some_and(|name| name.starts_with("document_") && name.ends_with(".pdf")));
    assert!(!data.to_string().contains("mediaKey"), "{data}");
    assert_eq!(data["media"]["bytes"], 5_000);
    world.finish().await;
}
