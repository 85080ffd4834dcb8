//! What a contact received, as its phone would open it: messages, their files, and what an app would not like in them.

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::Message as _;
use schemars::JsonSchema;
use serde::Deserialize;
use wacore::download::{DownloadUtils, Downloadable};
use waproto::whatsapp::Message;

use super::{
    file_type,
    response::{ApiError, ApiResult, NumberPath, QueryParams},
};
use crate::{
    media_store::MediaStore,
    people::{Complaint, ReceivedMessage},
    phone_number::PhoneNumber,
    state::SharedState,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceivedQuery {
    /// Each message comes with what an app would not like in it.
    complaints: Option<bool>,
}

pub async fn list(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    QueryParams(query): QueryParams<ReceivedQuery>,
) -> ApiResult<Json<Vec<serde_json::Value>>> {
    let (messages, store) = {
        let server = shared.lock();
        let person = server.people.get(&number);
        let messages: Vec<ReceivedMessage> =
            person.into_iter().flat_map(|person| person.inbox.messages().cloned()).collect();
        (messages, server.media.clone())
    };
    let shown = messages.into_iter().map(|mut message| {
        let mut complaints = std::mem::take(&mut message.complaints);
        let mut shown = serde_json::to_value(&message).map_err(anyhow::Error::new)?;
        if query.complaints == Some(true) {
            complaints.extend(complaint_about_file(&message, &store));
            shown["complaints"] = serde_json::to_value(complaints).map_err(anyhow::Error::new)?;
        }
        Ok(shown)
    });
    Ok(Json(shown.collect::<ApiResult<_>>()?))
}

/// None for a message without a file.
fn complaint_about_file(message: &ReceivedMessage, store: &MediaStore) -> Option<Complaint> {
    let raw = BASE64_STANDARD.decode(&message.raw).ok()?;
    let decoded = Message::decode_from_slice(&raw).ok()?;
    let medium = medium_of(&decoded)?;
    match opened(medium, store) {
        Ok(bytes) => {
            let mimetype = message.mimetype.as_deref().unwrap_or_default();
            (!file_type::fits(mimetype, &bytes)).then_some(Complaint::MediaOfAnotherType)
        }
        Err(_) => Some(Complaint::MediaUnreadable),
    }
}

/// The bytes of a received file.
pub async fn media(
    State(shared): State<SharedState>,
    Path((number, id)): Path<(String, String)>,
) -> ApiResult<Response> {
    let dialled: PhoneNumber = number.parse().map_err(ApiError::bad)?;
    let (message, store) = {
        let server = shared.lock();
        let number = server.people.registered(&dialled);
        let message = server
            .people
            .get(&number)
            .and_then(|person| person.inbox.find(&id))
            .cloned()
            .ok_or_else(|| ApiError::not_found(format!("{number} has received no message {id:?}")))?;
        (message, server.media.clone())
    };
    let raw = BASE64_STANDARD.decode(&message.raw).map_err(anyhow::Error::new)?;
    let decoded = Message::decode_from_slice(&raw).map_err(anyhow::Error::new)?;
    let medium = medium_of(&decoded).ok_or_else(|| ApiError::not_found(format!("message {id:?} has no medium")))?;
    let plain = opened(medium, &store)?;
    let mimetype = message.mimetype.unwrap_or_else(|| "application/octet-stream".to_owned());
    Ok(([(header::CONTENT_TYPE, mimetype)], plain).into_response())
}

fn medium_of(message: &Message) -> Option<&dyn Downloadable> {
    let medium: &dyn Downloadable = if let Some(image) = message.image_message.as_option() {
        image
    } else if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        video
    } else if let Some(audio) = message.audio_message.as_option() {
        audio
    } else if let Some(document) = message.document_message.as_option() {
        document
    } else {
        message.sticker_message.as_option()?
    };
    Some(medium)
}

/// Downloads and decrypts it, as the phone does.
fn opened(medium: &dyn Downloadable, store: &MediaStore) -> ApiResult<Vec<u8>> {
    let path = medium.direct_path().unwrap_or_default();
    let sealed = store.get(path).ok_or_else(|| ApiError::not_found(format!("the store has nothing under {path:?}")))?;
    let key = medium.media_key().ok_or_else(|| ApiError::not_found("the message has no media key"))?;
    DownloadUtils::verify_and_decrypt(&sealed, key, medium.app_info())
        .map_err(|error| ApiError::conflict(format!("the medium does not decrypt: {error}")))
}
