//! Connections that are dropped, logins that are refused, companions that are removed.

use std::time::Duration;

use axum::response::NoContent;
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::response::{ApiError, ApiResult, JsonBody};
use crate::{
    connection::ConnectionId,
    phone_number::PhoneNumber,
    refusals::{ConnectionEnd, MAX_REFUSALS, StreamError},
    state::SharedState,
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DropRequest {
    number: Option<PhoneNumber>,
    device: Option<u16>,
    /// Said before the socket closes; without it, nothing is.
    stream_error: Option<StreamError>,
}

pub async fn drop_now(
    State(shared): State<SharedState>,
    JsonBody(drop): JsonBody<DropRequest>,
) -> ApiResult<Json<serde_json::Value>> {
    let mut server = shared.lock();
    if let Some(number) = &drop.number
        && server.people.get(number).is_none()
    {
        return Err(ApiError::not_found(format!("{number} is no account")));
    }
    let wanted: Vec<ConnectionId> = server
        .connections
        .iter()
        .filter(|(_, connection)| match connection.logged_in() {
            Some((number, device)) => {
                drop.number.as_ref().is_none_or(|wanted| wanted == number)
                    && drop.device.is_none_or(|wanted| wanted == device)
            }
            None => drop.number.is_none() && drop.device.is_none(),
        })
        .map(|(id, _)| *id)
        .collect();
    let ending = drop.stream_error.map_or(ConnectionEnd::Closed, ConnectionEnd::StreamError);
    for id in &wanted {
        server.end(*id, &ending);
    }
    Ok(Json(serde_json::json!({"dropped": wanted.len()})))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefuseRequest {
    failure: Option<u16>,
    stream_error: Option<StreamError>,
    /// With `failure` 402: the kind of ban, and for how many seconds.
    code: Option<u16>,
    expire: Option<u64>,
    number: Option<PhoneNumber>,
    times: Option<u32>,
    seconds: Option<u64>,
}

pub async fn refuse(
    State(shared): State<SharedState>,
    JsonBody(refuse): JsonBody<RefuseRequest>,
) -> ApiResult<NoContent> {
    let ending = match (refuse.failure, refuse.stream_error) {
        (Some(reason), None) if (100..1000).contains(&reason) => {
            ConnectionEnd::Failure { reason, code: refuse.code.map(|code| code.to_string()), expire: refuse.expire }
        }
        (Some(reason), None) => {
            return Err(ApiError::bad(format!("{reason} is no reason of a failure (401, 402, 403, 405, 503, …)")));
        }
        (None, Some(error)) => {
            if refuse.code.is_some() || refuse.expire.is_some() {
                return Err(ApiError::bad("`code` and `expire` belong to a `failure`"));
            }
            ConnectionEnd::StreamError(error)
        }
        _ => {
            return Err(ApiError::bad(
                "give `failure` (a number) or `streamError` (a number or a name), one of the two",
            ));
        }
    };
    let mut server = shared.lock();
    if server.refusals.len() >= MAX_REFUSALS {
        return Err(ApiError::conflict(format!("there are {MAX_REFUSALS} refusals already")));
    }
    server.refusals.add(refuse.number, ending, refuse.times, refuse.seconds.map(Duration::from_secs));
    Ok(NoContent)
}

pub async fn refuse_no_more(State(shared): State<SharedState>) -> NoContent {
    shared.lock().refusals.clear();
    NoContent
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogOutRequest {
    number: Option<PhoneNumber>,
    device: Option<u16>,
}

pub async fn log_out(
    State(shared): State<SharedState>,
    JsonBody(wanted): JsonBody<LogOutRequest>,
) -> ApiResult<Json<serde_json::Value>> {
    let mut server = shared.lock();
    let companions: Vec<(PhoneNumber, u16)> = server
        .people
        .accounts()
        .filter(|person| wanted.number.as_ref().is_none_or(|number| *number == person.number))
        .flat_map(|person| {
            let devices = person.companions.keys();
            devices.map(|device| (person.number.clone(), *device))
        })
        .filter(|(_, device)| wanted.device.is_none_or(|wanted| wanted == *device))
        .collect();
    if companions.is_empty() {
        return Err(ApiError::not_found("no such companion (GET /accounts lists them)"));
    }
    for (number, device) in &companions {
        server.remove_companion(number, *device);
    }
    Ok(Json(serde_json::json!({"removed": companions.len()})))
}
