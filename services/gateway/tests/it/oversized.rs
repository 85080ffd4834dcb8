//! Messages that make an event too large for NATS: the event is stored with less in it and says so, the session goes on,
//! and nobody else waits.

use crate::{
    outage::acknowledged_within,
    world::{BUDI, SOON, World},
};
use async_nats::jetstream::stream::Config;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use kurir_contract::stream;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use waproto::whatsapp::{
    ContextInfo, Message, MessageKey,
    message::{
        AlbumMessage, ContactMessage, ContactsArrayMessage, ExtendedTextMessage, ImageMessage, ListMessage,
        PollCreationMessage, ProtocolMessage, ReactionMessage, poll_creation_message, protocol_message::Type,
    },
};

const INNOCENT: &str = "6281230000002";

fn raw(message: &Message) -> Value {
    json!({"type": "raw", "base64": BASE64_STANDARD.encode(message.encode_to_vec())})
}

fn key(id: String, participant: Option<String>) -> MessageField<MessageKey> {
    MessageField::some(MessageKey { id: Some(id), participant, ..Default::default() })
}

fn protocol(kind: Type, key: MessageField<MessageKey>, edited: Option<Message>) -> Message {
    let edited_message = edited.map(MessageField::some).unwrap_or_default();
    let protocol = ProtocolMessage { r#type: Some(kind), key, edited_message, ..Default::default() };
    Message { protocol_message: MessageField::some(protocol), ..Default::default() }
}

fn text(text: String) -> Message {
    Message { conversation: Some(text), ..Default::default() }
}

/// One of each kind, with what its sender controls made of so many bytes.
fn messages(large: usize) -> Vec<Message> {
    let long = || "x".repeat(large);
    let reaction = ReactionMessage { key: key("A".to_owned(), None), text: Some(long()), ..Default::default() };
    let option = |name: String| poll_creation_message::Option { option_name: Some(name), ..Default::default() };
    let poll = PollCreationMessage {
        name: Some(long()),
        options: vec![option("a".to_owned()), option("b".to_owned())],
        ..Default::default()
    };
    let quoting = ContextInfo {
        stanza_id: Some("A".to_owned()),
        participant: Some(format!("{BUDI}@s.whatsapp.net")),
        quoted_message: MessageField::some(Message {
            list_message: MessageField::some(ListMessage { title: Some(long()), ..Default::default() }),
            ..Default::default()
        }),
        mentioned_jid: (0..large / 20).map(|n| format!("62812{n:08}@s.whatsapp.net")).collect(),
        ..Default::default()
    };
    let quotes = ExtendedTextMessage {
        text: Some("the answer".to_owned()),
        context_info: MessageField::some(quoting),
        ..Default::default()
    };
    let image = ImageMessage { caption: Some(long()), mimetype: Some(long()), ..Default::default() };
    let card = ContactMessage { display_name: Some(long()), vcard: Some(long()), ..Default::default() };
    let cards = ContactsArrayMessage { contacts: vec![card.clone(); 3], ..Default::default() };
    let album = AlbumMessage { expected_image_count: Some(3), ..Default::default() };
    vec![
        text(long()),
        text("\u{1}😀\"".repeat(large / 6)),
        Message { reaction_message: MessageField::some(reaction), ..Default::default() },
        protocol(Type::REVOKE, key(long(), None), None),
        protocol(Type::REVOKE, key("A".to_owned(), Some(format!("{}@s.whatsapp.net", long()))), None),
        protocol(Type::MESSAGE_EDIT, key(long(), None), Some(text(long()))),
        Message { poll_creation_message_v3: MessageField::some(poll), ..Default::default() },
        Message { extended_text_message: MessageField::some(quotes), ..Default::default() },
        Message { image_message: MessageField::some(image), ..Default::default() },
        Message { contact_message: MessageField::some(card), ..Default::default() },
        Message { contacts_array_message: MessageField::some(cards), ..Default::default() },
        Message { album_message: MessageField::some(album), ..Default::default() },
    ]
}

/// Sends all kinds of this size, and then an ordinary text of somebody else.
async fn all_arrive(world: &World, large: usize) {
    let before = world.told().await;
    let mut ids = Vec::new();
    for message in messages(large) {
        ids.push(world.simulator.contact_sends(BUDI, raw(&message)).await);
    }
    let named = json!({"text": "hello", "pushName": "n".repeat(large)});
    ids.push(world.simulator.contact_sends(BUDI, named).await);
    let innocent = world.simulator.contact_writes(INNOCENT, "hello").await;
    // A debug build takes seconds for each of these, and to read them all again and again would slow it down further.
    acknowledged_within(world, 4 * SOON).await;
    let events = world.events().await;
    assert!(events.iter().any(|event| event.body["data"]["messageId"] == innocent.as_str()));
    for id in ids {
        let id_is = |event: &&crate::world::Stored| {
            ["messageId", "reactionId", "revokeId", "editId"]
                .iter()
                .any(|name| event.body["data"][*name] == id.as_str())
        };
        assert!(events.iter().any(|event| id_is(&event)), "a message has no event");
    }
    // The newest one is of this size.
    let mut newest_first = events.iter().rev();
    let quote = newest_first.find(|event| event.body["data"]["content"]["text"] == "the answer").expect("the answer");
    let quote = &quote.body["data"];
    assert_eq!(quote["reply"]["messageId"], "A");
    // A list of mentions that was cut says so, too.
    let is_whole = !quote["truncated"].to_string().contains("reply") && quote.to_string().len() > large;
    assert!(is_whole || quote["truncated"].to_string().contains("reply.quoted"), "{large}: {}", quote["truncated"]);
    assert_eq!(world.told().await, before, "the session reconnected");
}

#[tokio::test]
async fn a_message_that_is_too_large_for_nats_is_stored_with_less_in_it() {
    let world = World::connected(&[("MEDIA_DOWNLOAD", "false")]).await;
    for large in [100, 1_048_000] {
        all_arrive(&world, large).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_limit_of_the_stream_is_kept() {
    let world = World::connected(&[("MEDIA_DOWNLOAD", "false")]).await;
    let jetstream = world.jetstream().await;
    let mut events = jetstream.get_stream(stream::EVENTS).await.expect("the gateway made the stream");
    let config = events.info().await.expect("its settings").config.clone();
    jetstream.update_stream(Config { max_message_size: 50_000, ..config }).await.expect("the stream takes it");
    all_arrive(&world, 200_000).await;
    for event in world.events().await {
        assert!(event.body.to_string().len() <= 50_000);
    }
    world.finish().await;
}

#[tokio::test]
async fn random_large_messages_each_have_an_event() {
    let world = World::connected(&[("MEDIA_DOWNLOAD", "false")]).await;
    let mut random = StdRng::seed_from_u64(22);
    for _ in 0..5 {
        all_arrive(&world, random.random_range(100_000..1_500_000)).await;
    }
    world.finish().await;
}
