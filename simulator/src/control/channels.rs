//! Channels, which are there as soon as something is written in one.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use waproto::whatsapp::Message;

use super::answer::{Answer, Body, Error};
use crate::world::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewText {
    text: String,
}

#[derive(Serialize)]
pub struct Written {
    id: String,
}

pub async fn write(
    State(shared): State<Shared>,
    Path(channel): Path<String>,
    Body(new): Body<NewText>,
) -> Answer<(StatusCode, Json<Written>)> {
    if channel.is_empty() || !channel.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::bad("a channel's name has only digits"));
    }
    let mut world = shared.lock();
    let id = world.fresh_id("3C");
    let message = Message { conversation: Some(new.text), ..Default::default() };
    world.say_in_channel(&channel, &id, &message)?;
    Ok((StatusCode::CREATED, Json(Written { id })))
}
