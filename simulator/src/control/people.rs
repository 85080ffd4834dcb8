//! What people do beside writing: they call, type, come and go, change their profile; and what a phone tells of the past.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;

use super::{
    answer::{Answer, Body, Error, NumberPath},
    contacts::only_account,
};
use crate::{
    groups,
    people::{Addressing, Call, Number, ReceivedPresence},
    stanza::{Past, Presence, Signal},
    world::Shared,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCall {
    /// `offer` (which is the default), `terminate`, `reject`.
    #[serde(default)]
    action: Signal,
    /// The call; may be left out of an offer.
    id: Option<String>,
    #[serde(default)]
    video: bool,
    /// Why it ends, in WhatsApp's words: `timeout`, `accepted_elsewhere`, …
    reason: Option<String>,
    to: Option<Number>,
}

pub async fn call(
    State(shared): State<Shared>,
    NumberPath(number): NumberPath,
    Body(new): Body<NewCall>,
) -> Answer<(StatusCode, Json<serde_json::Value>)> {
    let mut world = shared.lock();
    let to = match new.to {
        Some(to) => to,
        None => only_account(&world, &number)?,
    };
    let id = match (new.id, new.action) {
        (Some(id), _) => id,
        (None, Signal::Offer) => world.fresh_id("CALL"),
        (None, _) => return Err(Error::bad("`id` is missing: it names the call that ends")),
    };
    world.people.meet(&number)?;
    world.call(&number, &to, &id, new.action, new.video, new.reason.as_deref())?;
    Ok((StatusCode::CREATED, Json(serde_json::json!({"id": id}))))
}

/// The calls that somebody made, and how they ended.
pub async fn calls(State(shared): State<Shared>, NumberPath(number): NumberPath) -> Json<Vec<Call>> {
    let world = shared.lock();
    Json(world.people.get(&number).into_iter().flat_map(|person| person.calls.iter().cloned()).collect())
}

/// The beginning of every JPEG, and its end.
const PICTURE: &[u8] = &[0xff, 0xd8, 0xff, 0xd9];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPresence {
    state: Presence,
    /// Unix seconds.
    last_seen: Option<i64>,
    group: Option<String>,
    addressing: Option<Addressing>,
    to: Option<Number>,
}

pub async fn presence(
    State(shared): State<Shared>,
    NumberPath(number): NumberPath,
    Body(new): Body<NewPresence>,
) -> Answer<StatusCode> {
    let mut world = shared.lock();
    let to = match new.to {
        Some(to) => to,
        None => only_account(&world, &number)?,
    };
    let addressing = new.addressing.unwrap_or(world.people.meet(&number)?.addressing);
    let group = new.group.as_deref().map(groups::whole);
    world.show_presence(&number, &to, new.state, new.last_seen, group.as_deref(), addressing);
    Ok(StatusCode::NO_CONTENT)
}

/// What clients showed this contact of themselves.
pub async fn presences(State(shared): State<Shared>, NumberPath(number): NumberPath) -> Json<Vec<ReceivedPresence>> {
    let world = shared.lock();
    let person = world.people.get(&number);
    Json(person.into_iter().flat_map(|person| person.inbox.presence().cloned()).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProfile {
    about: Option<String>,
    /// A new picture (of a few bytes) if true, none any more if false.
    picture: Option<bool>,
}

pub async fn profile(
    State(shared): State<Shared>,
    NumberPath(number): NumberPath,
    Body(new): Body<NewProfile>,
) -> Answer<StatusCode> {
    let mut world = shared.lock();
    world.people.meet(&number)?;
    if let Some(about) = &new.about {
        world.people.meet(&number)?.about = Some(about.clone());
        world.dirty = true;
        world.tell_of_about(&number, about);
    }
    if let Some(is_new) = new.picture {
        let picture = is_new.then(|| world.keep_picture(PICTURE.to_vec()));
        world.show_picture(&number, picture);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewHistory {
    contact: Number,
    messages: Vec<Past>,
    /// Per cent.
    progress: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recovered {
    contact: Number,
    message: Past,
}

/// The account's phone gives its companions a message that they could not read.
pub async fn recovered(
    State(shared): State<Shared>,
    NumberPath(number): NumberPath,
    Body(new): Body<Recovered>,
) -> Answer<StatusCode> {
    let mut world = shared.lock();
    world.people.meet(&new.contact)?;
    world.recover(&number, &new.contact, &new.message)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account's phone tells its companions of an earlier chat.
pub async fn history(
    State(shared): State<Shared>,
    NumberPath(number): NumberPath,
    Body(new): Body<NewHistory>,
) -> Answer<StatusCode> {
    let mut world = shared.lock();
    world.people.meet(&new.contact)?;
    world.tell_of_the_past(&number, &new.contact, &new.messages, new.progress)?;
    Ok(StatusCode::NO_CONTENT)
}
