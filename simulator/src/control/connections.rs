//! Connections that are dropped, logins that are refused, companions that are removed.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;

use super::answer::{Answer, Body, Error};
use crate::{
    connection::ConnectionId,
    people::Number,
    refusals::{Ending, MAX_REFUSALS, StreamError},
    world::Shared,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drop {
    number: Option<Number>,
    device: Option<u16>,
    /// Said before the socket closes; without it, nothing is.
    stream_error: Option<StreamError>,
}

pub async fn drop_now(State(shared): State<Shared>, Body(drop): Body<Drop>) -> Answer<Json<serde_json::Value>> {
    let mut world = shared.lock();
    if let Some(number) = &drop.number
        && world.people.get(number).is_none()
    {
        return Err(Error::not_found(format!("{number} is no account")));
    }
    let wanted: Vec<ConnectionId> = world
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
    let ending = drop.stream_error.map_or(Ending::Closed, Ending::StreamError);
    for id in &wanted {
        world.end(*id, &ending);
    }
    Ok(Json(serde_json::json!({"dropped": wanted.len()})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refuse {
    failure: Option<u16>,
    stream_error: Option<StreamError>,
    /// With `failure` 402: the kind of ban, and for how many seconds.
    code: Option<u16>,
    expire: Option<u64>,
    number: Option<Number>,
    times: Option<u32>,
    seconds: Option<u64>,
}

pub async fn refuse(State(shared): State<Shared>, Body(refuse): Body<Refuse>) -> Answer<StatusCode> {
    let ending = match (refuse.failure, refuse.stream_error) {
        (Some(reason), None) if (100..1000).contains(&reason) => {
            Ending::Failure { reason, code: refuse.code.map(|code| code.to_string()), expire: refuse.expire }
        }
        (Some(reason), None) => {
            return Err(Error::bad(format!("{reason} is no reason of a failure (401, 402, 403, 405, 503, …)")));
        }
        (None, Some(error)) => {
            if refuse.code.is_some() || refuse.expire.is_some() {
                return Err(Error::bad("`code` and `expire` belong to a `failure`"));
            }
            Ending::StreamError(error)
        }
        _ => {
            return Err(Error::bad("give `failure` (a number) or `streamError` (a number or a name), one of the two"));
        }
    };
    let mut world = shared.lock();
    if world.refusals.len() >= MAX_REFUSALS {
        return Err(Error::conflict(format!("there are {MAX_REFUSALS} refusals already")));
    }
    world.refusals.add(refuse.number, ending, refuse.times, refuse.seconds.map(Duration::from_secs));
    Ok(StatusCode::NO_CONTENT)
}

pub async fn refuse_no_more(State(shared): State<Shared>) -> StatusCode {
    shared.lock().refusals.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogOut {
    number: Option<Number>,
    device: Option<u16>,
}

pub async fn log_out(State(shared): State<Shared>, Body(wanted): Body<LogOut>) -> Answer<Json<serde_json::Value>> {
    let mut world = shared.lock();
    let companions: Vec<(Number, u16)> = world
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
        return Err(Error::not_found("no such companion (GET /accounts lists them)"));
    }
    for (number, device) in &companions {
        world.remove_companion(number, *device);
    }
    Ok(Json(serde_json::json!({"removed": companions.len()})))
}
