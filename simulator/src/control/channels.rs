//! Channels: made by contacts, written in, and shown. A channel that nobody made is there as soon as something is written
//! in it, and everybody follows it.

use axum::{
    Json,
    extract::{Path, State},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use waproto::whatsapp::{Message, message::ImageMessage};

use super::response::{ApiError, ApiResult, Created, JsonBody};
use crate::{
    channels::{Channel, ChannelMessage, ChannelText},
    media_store::MediaStore,
    phone_number::PhoneNumber,
    stanza::{SendError, are_good_texts},
    state::SharedState,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    name: String,
    #[serde(default)]
    description: String,
    owner: PhoneNumber,
}

#[derive(Serialize, JsonSchema)]
pub struct ChannelView {
    id: String,
    name: String,
    description: String,
    invite: String,
    /// Null for a channel that nobody made.
    owner: Option<PhoneNumber>,
    admins: Vec<PhoneNumber>,
    followers: Vec<PhoneNumber>,
    muted: Vec<PhoneNumber>,
    picture: Option<String>,
}

impl ChannelView {
    fn of(channel: &Channel) -> Self {
        Self {
            id: channel.jid().to_string(),
            name: channel.name.text.clone(),
            description: channel.description.text.clone(),
            invite: channel.invite.clone(),
            owner: channel.owner.clone(),
            admins: channel.admins.iter().cloned().collect(),
            followers: channel.followers.iter().cloned().collect(),
            muted: channel.muted.iter().cloned().collect(),
            picture: channel.picture.as_ref().map(|picture| picture.id.clone()),
        }
    }
}

pub async fn create(
    State(shared): State<SharedState>,
    JsonBody(new): JsonBody<NewChannel>,
) -> ApiResult<Created<ChannelView>> {
    if !are_good_texts(&new.name, &new.description) {
        return Err(ApiError::bad(
            "a channel needs a `name` of 1 to 100 characters, and its `description` has at most 2048",
        ));
    }
    let mut server = shared.lock();
    let owner = server.people.registered(&new.owner);
    server.people.meet(&owner)?;
    let now = server.now();
    server.dirty = true;
    let created = server.channels.create(&new.name, owner, now);
    let channel = created.map_err(|error| SendError::Full(error.to_string()))?;
    channel.description = ChannelText { text: new.description, set: now };
    Ok(Created(ChannelView::of(channel)))
}

pub async fn list(State(shared): State<SharedState>) -> Json<Vec<ChannelView>> {
    Json(shared.lock().channels.iter().map(ChannelView::of).collect())
}

pub async fn show(State(shared): State<SharedState>, Path(id): Path<String>) -> ApiResult<Json<ChannelView>> {
    let server = shared.lock();
    let channel = server.channels.get(&id).ok_or_else(|| no_channel(&id))?;
    Ok(Json(ChannelView::of(channel)))
}

fn no_channel(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no channel {id:?}"))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMessageView {
    id: String,
    server_id: u64,
    timestamp: i64,
    author: Option<PhoneNumber>,
    /// Null for one without, and for one that was deleted.
    text: Option<String>,
    /// The `Message` as protobuf in base64.
    raw: String,
    edited: bool,
    deleted: bool,
    /// By emoji.
    reactions: serde_json::Map<String, serde_json::Value>,
    views: usize,
}

impl ChannelMessageView {
    fn of(message: &ChannelMessage) -> Self {
        let content = Message::decode_from_slice(&message.plaintext).unwrap_or_default();
        let extended = content.extended_text_message.as_option().and_then(|text| text.text.clone());
        let caption = content.image_message.as_option().and_then(|image| image.caption.clone());
        let counts = message.reaction_counts().into_iter().map(|(code, count)| (code.to_owned(), count.into()));
        Self {
            id: message.id.clone(),
            server_id: message.server_id,
            timestamp: message.at,
            author: message.author.clone(),
            text: content.conversation.clone().or(extended).or(caption),
            raw: BASE64_STANDARD.encode(&message.plaintext),
            edited: message.edited_ms.is_some() && !message.is_deleted(),
            deleted: message.is_deleted(),
            reactions: counts.collect(),
            views: message.viewers.len(),
        }
    }
}

pub async fn messages(
    State(shared): State<SharedState>,
    Path(id): Path<String>,
) -> ApiResult<Json<Vec<ChannelMessageView>>> {
    let server = shared.lock();
    let channel = server.channels.get(&id).ok_or_else(|| no_channel(&id))?;
    Ok(Json(channel.messages().map(ChannelMessageView::of).collect()))
}

/// A text, or a picture that is not encrypted, as no file in a channel is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannelMessage {
    #[serde(default)]
    text: String,
    /// A picture in base64; `text` is its caption then.
    image: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMessageCreated {
    id: String,
    server_id: u64,
}

pub async fn write(
    State(shared): State<SharedState>,
    Path(channel): Path<String>,
    JsonBody(new): JsonBody<NewChannelMessage>,
) -> ApiResult<Created<ChannelMessageCreated>> {
    let channel = channel.strip_suffix("@newsletter").unwrap_or(&channel);
    if channel.is_empty() || !channel.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::bad("a channel's name has only digits"));
    }
    if new.text.is_empty() && new.image.is_none() {
        return Err(ApiError::bad("a message needs a `text` or an `image`"));
    }
    let mut server = shared.lock();
    let message = match new.image {
        None => Message { conversation: Some(new.text), ..Default::default() },
        Some(image) => {
            let bytes = BASE64_STANDARD.decode(image).map_err(|error| ApiError::bad(format!("`image`: {error}")))?;
            public_image(&server.media, bytes, new.text)
        }
    };
    let id = server.fresh_id("3C");
    let server_id = server.say_in_channel(channel, &id, &message)?;
    Ok(Created(ChannelMessageCreated { id, server_id }))
}

/// There is no key in it, and the checksum is that of the bytes as they are.
fn public_image(store: &MediaStore, bytes: Vec<u8>, caption: String) -> Message {
    let (checksum, length) = (Sha256::digest(&bytes).to_vec(), bytes.len());
    let path = store.put("newsletter-image", bytes.into());
    let image = ImageMessage {
        url: Some(store.url(&path)),
        direct_path: Some(path),
        file_sha256: Some(checksum),
        file_length: u64::try_from(length).ok(),
        mimetype: Some("image/jpeg".to_owned()),
        caption: Some(caption).filter(|caption| !caption.is_empty()),
        ..Default::default()
    };
    Message { image_message: MessageField::some(image), ..Default::default() }
}
