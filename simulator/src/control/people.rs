//! What people do besides writing and calling: they type, come and go, change their profile; and what a phone tells of the
//! past.

use axum::response::NoContent;
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    contacts::only_account,
    response::{ApiError, ApiResult, JsonBody, NumberPath},
};
use crate::{
    groups,
    people::{AddressingMode, ReceivedPresence},
    phone_number::PhoneNumber,
    stanza::{PastMessage, PresenceKind},
    state::SharedState,
};

/// The beginning of every JPEG, and its end.
const PICTURE: &[u8] = &[0xff, 0xd8, 0xff, 0xd9];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPresence {
    state: PresenceKind,
    /// Unix seconds.
    last_seen: Option<i64>,
    group: Option<String>,
    addressing: Option<AddressingMode>,
    to: Option<PhoneNumber>,
}

pub async fn presence(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewPresence>,
) -> ApiResult<NoContent> {
    let mut server = shared.lock();
    // With several accounts and none named, only who follows this contact is told.
    let to = new.to.or_else(|| only_account(&server, &number).ok());
    let addressing = new.addressing.unwrap_or(server.people.meet(&number)?.addressing);
    let group = new.group.as_deref().map(groups::whole);
    server.show_presence(&number, to.as_ref(), new.state, new.last_seen, group.as_deref(), addressing);
    Ok(NoContent)
}

/// What clients showed this contact of themselves.
pub async fn presences(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
) -> Json<Vec<ReceivedPresence>> {
    let server = shared.lock();
    let person = server.people.get(&number);
    Json(person.into_iter().flat_map(|person| person.inbox.presence().cloned()).collect())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProfile {
    about: Option<String>,
    /// A new picture (of a few bytes) if true, none any more if false.
    picture: Option<bool>,
}

pub async fn profile(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewProfile>,
) -> ApiResult<NoContent> {
    let mut server = shared.lock();
    server.people.meet(&number)?;
    if let Some(about) = &new.about {
        server.people.meet(&number)?.about = Some(about.clone());
        server.dirty = true;
        server.tell_of_about(&number, about);
    }
    if let Some(is_new) = new.picture {
        let picture = is_new.then(|| server.keep_picture(PICTURE.to_vec()));
        server.show_picture(&number, picture);
    }
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewHistory {
    contact: PhoneNumber,
    messages: Vec<PastMessage>,
    /// Per cent.
    progress: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecoveredMessage {
    contact: PhoneNumber,
    message: PastMessage,
}

/// The account's phone gives its companions a message that they could not read.
pub async fn recovered(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<RecoveredMessage>,
) -> ApiResult<NoContent> {
    let mut server = shared.lock();
    server.people.meet(&new.contact)?;
    server.recover(&number, &new.contact, &new.message).map_err(ApiError::bad)?;
    Ok(NoContent)
}

/// The account's phone tells its companions of an earlier chat.
pub async fn history(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewHistory>,
) -> ApiResult<NoContent> {
    let mut server = shared.lock();
    server.people.meet(&new.contact)?;
    server.tell_of_the_past(&number, &new.contact, &new.messages, new.progress).map_err(ApiError::bad)?;
    Ok(NoContent)
}
