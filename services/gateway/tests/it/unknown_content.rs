//! What this version does not know is told of: nothing is acknowledged in silence.

use crate::{
    outage::all_acknowledged,
    world::{BUDI, World},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use serde_json::{Value, json};
use waproto::whatsapp::{
    Message, MessageContextInfo, MessageKey,
    message::{EncCommentMessage, EncReactionMessage, ProtocolMessage, protocol_message::Type},
};

fn raw(message: &Message) -> Value {
    json!({"type": "raw", "base64": BASE64_STANDARD.encode(message.encode_to_vec())})
}

#[tokio::test]
async fn a_message_that_holds_nothing_known_is_told_of_as_unknown() {
    let world = World::connected(&[]).await;
    let context = MessageContextInfo { message_secret: Some(vec![7; 32]), ..Default::default() };
    let newer = Message { message_context_info: MessageField::some(context), ..Default::default() };
    for message in [json!({"type": "raw", "base64": "oh8FCgNuZXc="}), raw(&newer)] {
        let id = world.simulator.contact_sends(BUDI, message).await;
        let data = world.data("message.received", |data| data["messageId"] == id.as_str()).await;
        assert_eq!(data["messageType"], "unknown");
        assert!(data["content"]["raw"]["base64"].is_string(), "{data}");
    }
    all_acknowledged(&world).await;
    assert!(world.gateway.output().contains("nothing that this version knows"));
    world.finish().await;
}

#[tokio::test]
async fn what_is_sealed_with_an_unknown_secret_is_undecryptable() {
    let world = World::connected(&[]).await;
    let parent = || {
        MessageField::some(MessageKey { id: Some("NEVERSEEN".to_owned()), from_me: Some(false), ..Default::default() })
    };
    let (payload, iv) = (Some(vec![1; 48]), Some(vec![2; 12]));
    let reaction =
        EncReactionMessage { target_message_key: parent(), enc_payload: payload.clone(), enc_iv: iv.clone() };
    let comment = EncCommentMessage { target_message_key: parent(), enc_payload: payload, enc_iv: iv };
    for message in [
        Message { enc_reaction_message: MessageField::some(reaction), ..Default::default() },
        Message { enc_comment_message: MessageField::some(comment), ..Default::default() },
    ] {
        let id = world.simulator.contact_sends(BUDI, raw(&message)).await;
        let data = world.data("message.undecryptable", |data| data["messageId"] == id.as_str()).await;
        assert_eq!(data["reason"], "secret_unknown");
    }
    all_acknowledged(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn settings_of_the_apps_are_passed_over() {
    let world = World::connected(&[]).await;
    let setting = ProtocolMessage { r#type: Some(Type::CHAT_THEME_SETTING), ..Default::default() };
    let setting = Message { protocol_message: MessageField::some(setting), ..Default::default() };
    world.simulator.contact_sends(BUDI, raw(&setting)).await;
    let last = world.simulator.contact_writes(BUDI, "the last").await;
    world.data("message.received", |data| data["messageId"] == last.as_str()).await;
    assert_eq!(world.events_of("message.received").await.len(), 1);
    world.finish().await;
}
