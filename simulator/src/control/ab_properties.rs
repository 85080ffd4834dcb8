//! What WhatsApp switches on for an account: AB properties, and the salt of its proofs to strangers. Both can be set before
//! a client is paired.

use std::collections::BTreeMap;

use axum::response::NoContent;
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::response::{ApiError, ApiResult, JsonBody, NumberPath};
use crate::{
    people::{SaltDelivery, ab_properties::name_of},
    state::SharedState,
};

/// Properties of one account; WhatsApp has some 2,000.
const MAX_PROPERTIES: usize = 4_000;
const MAX_VALUE: usize = 1_000;

#[derive(Serialize, JsonSchema)]
pub struct PropertyView {
    code: u32,
    /// Null for one that is not in the client's registry.
    name: Option<&'static str>,
    value: String,
}

pub async fn list(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
) -> ApiResult<Json<Vec<PropertyView>>> {
    let mut server = shared.lock();
    let person = server.people.meet(&number)?;
    let each = person.properties.iter();
    Ok(Json(each.map(|(code, value)| PropertyView { code, name: name_of(code), value: value.to_owned() }).collect()))
}

/// Clients ask for them when they connect.
pub async fn change(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(changes): JsonBody<BTreeMap<String, Value>>,
) -> ApiResult<NoContent> {
    let changes: Vec<(String, Option<String>)> = changes
        .into_iter()
        .map(|(name, value)| match value {
            Value::Null => Ok((name, None)),
            Value::Bool(on) => Ok((name, Some(u8::from(on).to_string()))),
            Value::Number(number) => Ok((name, Some(number.to_string()))),
            Value::String(text) if text.len() <= MAX_VALUE => Ok((name, Some(text))),
            _ => Err(ApiError::bad(format!(
                "`{name}` is true, false, a number, a text of {MAX_VALUE} bytes at most, or null"
            ))),
        })
        .collect::<ApiResult<_>>()?;
    let mut server = shared.lock();
    server.dirty = true;
    let person = server.people.meet(&number)?;
    let mut properties = person.properties.clone();
    for (name, value) in changes {
        let known = properties.set(&name, value);
        known.ok_or_else(|| ApiError::bad(format!("there is no AB property {name:?}: give its name or its number")))?;
    }
    if properties.iter().count() > MAX_PROPERTIES {
        return Err(ApiError::bad(format!("an account has {MAX_PROPERTIES} properties at most")));
    }
    person.properties = properties;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSalt {
    delivery: SaltDelivery,
}

pub async fn make_salt(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewSalt>,
) -> ApiResult<NoContent> {
    shared.lock().change_salt(&number, Some(new.delivery))?;
    Ok(NoContent)
}

pub async fn drop_salt(State(shared): State<SharedState>, NumberPath(number): NumberPath) -> ApiResult<NoContent> {
    shared.lock().change_salt(&number, None)?;
    Ok(NoContent)
}
