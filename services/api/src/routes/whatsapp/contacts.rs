//! `check-number`, `contacts`, `blocklist`, `block`, `unblock`: who somebody is, and whom the account blocks.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, QueryParams, SessionPath},
    fields::{Field, FieldErrors, PageQuery, Person},
    response::{
        DataResponse, JsonResult, MessageDataResponse, PageResponse, data_response, message_data_response,
        page_response,
    },
};
use axum::extract::State;
use kurir_contract::command::{
    CheckNumber, EmptyBody, NumberChecked,
    people::{BlockedContact, BlockedContacts, ContactDetails, PersonRequest},
    spec,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Somebody.
#[derive(Deserialize, JsonSchema)]
pub struct NumberRequest {
    number: Field<Person>,
}

/// Whether WhatsApp knows an account.
pub async fn check_number(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<NumberRequest>,
) -> JsonResult<DataResponse<NumberChecked>> {
    let Person(number) = body.number.checked("number", ErrorCode::InvalidRecipient)?;
    Ok(data_response(ask_gateway(&app, &session, spec::CheckNumber, &CheckNumber { number }).await?))
}

pub async fn contact(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<ContactDetails>> {
    let request = PersonRequest { number: id.person()? };
    Ok(data_response(ask_gateway(&app, &session, spec::Contact, &request).await?))
}

/// In the order of the addresses.
pub async fn blocklist(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    QueryParams(query): QueryParams<PageQuery>,
) -> JsonResult<PageResponse<BlockedContact>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let (limit, after) = query.read(&mut errors);
    errors.finish(|| Some(()))?;
    let BlockedContacts { mut people } = ask_gateway(&app, &session, spec::Blocklist, &EmptyBody {}).await?;
    people.sort_by(|one, other| one.jid.cmp(&other.jid));
    people.retain(|person| after.as_ref().is_none_or(|after| person.jid.as_str() > after.as_str()));
    let has_more = people.len() > limit;
    people.truncate(limit);
    let next = people.last().filter(|_| has_more).map(|last| last.jid.to_string());
    Ok(page_response(people, next))
}

pub async fn block(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<NumberRequest>,
) -> JsonResult<MessageDataResponse<BlockedContact>> {
    let Person(number) = body.number.checked("number", ErrorCode::InvalidRecipient)?;
    let blocked = ask_gateway(&app, &session, spec::Block, &PersonRequest { number }).await?;
    Ok(message_data_response("Blocked", blocked))
}

pub async fn unblock(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<NumberRequest>,
) -> JsonResult<MessageDataResponse<BlockedContact>> {
    let Person(number) = body.number.checked("number", ErrorCode::InvalidRecipient)?;
    let unblocked = ask_gateway(&app, &session, spec::Unblock, &PersonRequest { number }).await?;
    Ok(message_data_response("Unblocked", unblocked))
}
