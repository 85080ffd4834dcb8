//! Load, begun and watched.

use axum::{
    Json,
    extract::{Path, State},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    contacts::only_account,
    response::{Accepted, ApiError, ApiResult, JsonBody},
};
use crate::{
    load::{LoadProgress, MAX_CONTACTS, MAX_MESSAGES, MAX_RATE},
    load_runner::run,
    phone_number::PhoneNumber,
    state::SharedState,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewLoad {
    messages: u64,
    /// Messages a second.
    rate: f64,
    /// How many new contacts write; or those of an earlier load do, by its id.
    contacts: Option<u64>,
    contacts_of: Option<String>,
    /// The group in which they write: all its members but the account.
    group: Option<String>,
    to: Option<PhoneNumber>,
}

pub async fn begin(
    State(shared): State<SharedState>,
    JsonBody(new): JsonBody<NewLoad>,
) -> ApiResult<Accepted<serde_json::Value>> {
    if !(1..=MAX_MESSAGES).contains(&new.messages) {
        return Err(ApiError::bad(format!("`messages` is 1 to {MAX_MESSAGES}")));
    }
    let contacts = new.contacts.unwrap_or_default();
    let named = [new.contacts.is_some(), new.contacts_of.is_some(), new.group.is_some()];
    if named.iter().filter(|is_named| **is_named).count() != 1 {
        return Err(ApiError::bad("either `contacts` or `contactsOf` or `group`".to_owned()));
    }
    if new.contacts.is_some() && !(1..=MAX_CONTACTS).contains(&contacts) {
        return Err(ApiError::bad(format!("`contacts` is 1 to {MAX_CONTACTS}")));
    }
    if !(new.rate > 0.0 && new.rate <= MAX_RATE) {
        return Err(ApiError::bad(format!("`rate` is above 0 and at most {MAX_RATE} a second")));
    }
    let load = {
        let mut server = shared.lock();
        let to = match new.to {
            Some(to) => to,
            None => only_account(&server, &"19990000000".parse().map_err(ApiError::bad)?)?,
        };
        let ready = server.people.get(&to).is_some_and(|person| !person.companions.is_empty());
        if !ready {
            return Err(ApiError::conflict(format!("{to} has no companion: pair one first")));
        }
        let contacts = match (&new.contacts_of, &new.group) {
            (Some(earlier), _) => server
                .load_progress(earlier)
                .map(|load| load.contacts)
                .ok_or_else(|| ApiError::not_found(format!("there is no load {earlier:?}")))?,
            (None, Some(group)) => {
                server.group_members_but(group, &to).map_err(|error| ApiError::not_found(format!("{error:#}")))?
            }
            (None, None) => server.new_contacts(contacts)?,
        };
        server.begin_load(to, new.messages, new.rate, contacts, new.group)
    };
    let id = load.id.clone();
    let background = shared.clone();
    shared.spawn(async move { run(background, load).await });
    Ok(Accepted(serde_json::json!({"id": id})))
}

pub async fn progress(State(shared): State<SharedState>, Path(id): Path<String>) -> ApiResult<Json<LoadProgress>> {
    shared.lock().load_progress(&id).map(Json).ok_or_else(|| ApiError::not_found(format!("there is no load {id:?}")))
}
