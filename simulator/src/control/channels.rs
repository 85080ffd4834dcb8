//! Channels, which are there as soon as something is written in one.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use waproto::whatsapp::Message;

use super::response::{ApiError, ApiResult, JsonBody, MessageCreated};
use crate::state::SharedState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelText {
    text: String,
}

pub async fn write(
    State(shared): State<SharedState>,
    Path(channel): Path<String>,
    JsonBody(new): JsonBody<ChannelText>,
) -> ApiResult<(StatusCode, Json<MessageCreated>)> {
    if channel.is_empty() || !channel.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::bad("a channel's name has only digits"));
    }
    let mut server = shared.lock();
    let id = server.fresh_id("3C");
    let message = Message { conversation: Some(new.text), ..Default::default() };
    server.say_in_channel(&channel, &id, &message)?;
    Ok((StatusCode::CREATED, Json(MessageCreated { id })))
}
