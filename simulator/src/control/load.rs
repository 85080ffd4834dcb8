//! Load, begun and watched.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::{
    answer::{Answer, Body, Error},
    contacts::only_account,
};
use crate::{
    load::{MAX_CONTACTS, MAX_MESSAGES, MAX_RATE, Progress, run},
    people::Number,
    world::Shared,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewLoad {
    messages: u64,
    /// Messages a second.
    rate: f64,
    /// How many new contacts write; or those of an earlier load do, by its id.
    contacts: Option<u64>,
    contacts_of: Option<String>,
    to: Option<Number>,
}

pub async fn begin(
    State(shared): State<Shared>,
    Body(new): Body<NewLoad>,
) -> Answer<(StatusCode, Json<serde_json::Value>)> {
    if !(1..=MAX_MESSAGES).contains(&new.messages) {
        return Err(Error::bad(format!("`messages` is 1 to {MAX_MESSAGES}")));
    }
    let contacts = new.contacts.unwrap_or_default();
    if new.contacts_of.is_none() && !(1..=MAX_CONTACTS).contains(&contacts) {
        return Err(Error::bad(format!("`contacts` is 1 to {MAX_CONTACTS}")));
    }
    if new.contacts_of.is_some() && new.contacts.is_some() {
        return Err(Error::bad("either `contacts` or `contactsOf`".to_owned()));
    }
    if !(new.rate > 0.0 && new.rate <= MAX_RATE) {
        return Err(Error::bad(format!("`rate` is above 0 and at most {MAX_RATE} a second")));
    }
    let load = {
        let mut world = shared.lock();
        let to = match new.to {
            Some(to) => to,
            None => only_account(&world, &"19990000000".parse().map_err(Error::bad)?)?,
        };
        let ready = world.people.get(&to).is_some_and(|person| !person.companions.is_empty());
        if !ready {
            return Err(Error::conflict(format!("{to} has no companion: pair one first")));
        }
        let contacts = match &new.contacts_of {
            Some(earlier) => world
                .load_progress(earlier)
                .map(|load| load.contacts)
                .ok_or_else(|| Error::not_found(format!("there is no load {earlier:?}")))?,
            None => world.new_contacts(contacts)?,
        };
        world.begin_load(to, new.messages, new.rate, contacts)
    };
    let id = load.id.clone();
    let background = shared.clone();
    shared.spawn(async move { run(background, load).await });
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({"id": id}))))
}

pub async fn progress(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<Json<Progress>> {
    shared.lock().load_progress(&id).map(Json).ok_or_else(|| Error::not_found(format!("there is no load {id:?}")))
}
