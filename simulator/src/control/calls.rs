//! Calls that people make, and how they ended.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    contacts::only_account,
    response::{ApiError, ApiResult, Created, JsonBody, NumberPath},
};
use crate::{
    groups,
    people::{CallRecord, CallSignal},
    phone_number::PhoneNumber,
    stanza::OutgoingCall,
    state::SharedState,
};

/// What a caller's phone says of itself.
const PLATFORM: &str = "android";
const VERSION: &str = "2.25.37.76";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCall {
    /// `offer` (which is the default), `terminate`, `reject`, `accept` (by the phone of the called account).
    #[serde(default)]
    action: CallSignal,
    /// The call; may be left out of an offer.
    id: Option<String>,
    #[serde(default)]
    video: bool,
    /// Why it ends, in WhatsApp's words: `timeout`, `accepted_elsewhere`, …
    reason: Option<String>,
    to: Option<PhoneNumber>,
    /// All members of the group are called.
    group: Option<String>,
    /// The members are told of the call instead of being called.
    #[serde(default)]
    notice: bool,
    /// False: the companions do not learn the caller's number.
    caller_number: Option<bool>,
    platform: Option<String>,
    version: Option<String>,
}

pub async fn call(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewCall>,
) -> ApiResult<Created<serde_json::Value>> {
    let mut server = shared.lock();
    if new.to.is_some() && new.group.is_some() {
        return Err(ApiError::bad("give `to` or `group`, not both"));
    }
    let group = new.group.as_deref().map(groups::whole);
    let called = match (&group, new.to) {
        (Some(id), _) => {
            let group =
                server.groups.get(id).ok_or_else(|| ApiError::not_found(format!("there is no group {id:?}")))?;
            group.participants.iter().filter(|member| **member != number).cloned().collect()
        }
        (None, Some(to)) => vec![to],
        (None, None) => vec![only_account(&server, &number)?],
    };
    let id = match (new.id, new.action) {
        (Some(id), _) => id,
        (None, CallSignal::Offer) => server.fresh_id("CALL"),
        (None, _) => return Err(ApiError::bad("`id` is missing: it names the call that ends")),
    };
    let call = OutgoingCall {
        id: &id,
        signal: new.action,
        video: new.video,
        reason: new.reason.as_deref(),
        group: group.as_deref(),
        is_notice: new.notice,
        hides_number: new.caller_number == Some(false),
        platform: new.platform.as_deref().unwrap_or(PLATFORM),
        version: new.version.as_deref().unwrap_or(VERSION),
    };
    server.call(&number, &called, &call)?;
    Ok(Created(serde_json::json!({"id": id})))
}

/// The calls that somebody made, and how they ended.
pub async fn list(State(shared): State<SharedState>, NumberPath(number): NumberPath) -> Json<Vec<CallRecord>> {
    let server = shared.lock();
    Json(server.people.get(&number).into_iter().flat_map(|person| person.calls.iter().cloned()).collect())
}
