//! Restrictions of accounts, set and taken away.

use axum::{Json, extract::State};
use serde::Deserialize;

use super::answer::{Answer, Body, Error, NumberPath};
use crate::{
    people::Number,
    restrictions::{Kind, Restriction},
    world::{Shared, World},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    kind: Kind,
    seconds: u32,
}

pub async fn begin(
    State(shared): State<Shared>,
    NumberPath(number): NumberPath,
    Body(restrict): Body<Restrict>,
) -> Answer<Json<serde_json::Value>> {
    let mut world = shared.lock();
    is_account(&world, &number)?;
    let until = world.now() + i64::from(restrict.seconds);
    world.restrictions.0.insert(number, Restriction { kind: restrict.kind, until });
    Ok(Json(serde_json::json!({"until": until})))
}

pub async fn end(State(shared): State<Shared>, NumberPath(number): NumberPath) -> Answer<Json<serde_json::Value>> {
    let mut world = shared.lock();
    is_account(&world, &number)?;
    let was = world.restrictions.0.remove(&number).is_some();
    Ok(Json(serde_json::json!({"ended": was})))
}

fn is_account(world: &World, number: &Number) -> Answer<()> {
    let is_account = world.people.get(number).is_some_and(|person| person.is_account);
    if is_account { Ok(()) } else { Err(Error::not_found(format!("{number} is no account"))) }
}
