//! Groups: made and shown.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Body, Error},
    contacts::only_account,
};
use crate::{groups::Group, people::Number, world::Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    subject: String,
    participants: Vec<Number>,
    /// The account in it; may be left out if there is one.
    account: Option<Number>,
}

#[derive(Serialize)]
pub struct Shown {
    id: String,
    subject: String,
    creator: Number,
    participants: Vec<Number>,
}

impl Shown {
    fn of(group: &Group) -> Self {
        Self {
            id: group.jid().to_string(),
            subject: group.subject.clone(),
            creator: group.creator.clone(),
            participants: group.participants.iter().cloned().collect(),
        }
    }
}

pub async fn create(State(shared): State<Shared>, Body(new): Body<NewGroup>) -> Answer<(StatusCode, Json<Shown>)> {
    if new.participants.is_empty() {
        return Err(Error::bad("a group needs at least one participant"));
    }
    let mut world = shared.lock();
    let mut participants: BTreeSet<Number> = new.participants.into_iter().collect();
    let has_account =
        participants.iter().any(|number| world.people.get(number).is_some_and(|person| person.is_account));
    let creator = match new.account {
        Some(account) => Some(account),
        // Clients that are named as participants need no further account.
        None if has_account => None,
        None => Some(only_account(
            &world,
            &participants.iter().next().cloned().ok_or_else(|| Error::bad("no participant"))?,
        )?),
    };
    participants.extend(creator.clone());
    for number in &participants {
        world.people.meet(number)?;
    }
    let creator = creator.or_else(|| participants.first().cloned()).ok_or_else(|| Error::bad("no participant"))?;
    let now = world.now();
    world.dirty = true;
    let group =
        world.groups.create(new.subject, creator, participants, now).map_err(|error| Error::bad(error.to_string()))?;
    Ok((StatusCode::CREATED, Json(Shown::of(group))))
}

pub async fn list(State(shared): State<Shared>) -> Json<Vec<Shown>> {
    Json(shared.lock().groups.iter().map(Shown::of).collect())
}

pub async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<Json<Shown>> {
    let world = shared.lock();
    let group = world.groups.get(&id);
    group.map(|group| Json(Shown::of(group))).ok_or_else(|| Error::not_found(format!("there is no group {id:?}")))
}
