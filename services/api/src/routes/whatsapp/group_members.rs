//! `groups/{id}/participants` and `groups/{id}/admins`: who is in a group, and who administers it.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, SessionPath},
    fields::{Field, ParticipantList},
    response::{ApiError, DataResponse, JsonResult, data_response},
};
use axum::extract::State;
use kurir_contract::{
    address::ChatJid,
    command::{
        CommandSpec,
        group::{ChangeParticipants, MOST_PARTICIPANTS, ParticipantResult, ParticipantResults},
        spec,
    },
    session::SessionId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// People; at least one.
#[derive(Deserialize, JsonSchema)]
pub struct ParticipantsRequest {
    participants: Field<ParticipantList>,
}

/// How it went with each.
#[derive(Serialize, JsonSchema)]
pub struct ParticipantsView {
    /// In the order of the request.
    participants: Vec<ParticipantView>,
}

/// How it went with one of several people.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantView {
    /// As it was asked for.
    jid: ChatJid,
    ok: bool,
    /// Null if it was done.
    code: Option<ErrorCode>,
    /// WhatsApp's number, if WhatsApp refused.
    whatsapp_code: Option<u16>,
    /// Why it was not done, in words; null if it was.
    message: Option<String>,
}

impl From<ParticipantResult> for ParticipantView {
    fn from(ParticipantResult { jid, ok, code, message }: ParticipantResult) -> Self {
        let error = (!ok).then_some(ErrorCode::RefusedByWhatsapp);
        Self { jid, ok, code: error, whatsapp_code: code, message }
    }
}

type MembersResult = JsonResult<DataResponse<ParticipantsView>>;

pub async fn add_participants(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    body: JsonBody<ParticipantsRequest>,
) -> MembersResult {
    change_members(app, session, spec::AddParticipants, id, body).await
}

pub async fn remove_participants(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    body: JsonBody<ParticipantsRequest>,
) -> MembersResult {
    change_members(app, session, spec::RemoveParticipants, id, body).await
}

pub async fn make_admins(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    body: JsonBody<ParticipantsRequest>,
) -> MembersResult {
    change_members(app, session, spec::PromoteParticipants, id, body).await
}

pub async fn make_members(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    body: JsonBody<ParticipantsRequest>,
) -> MembersResult {
    change_members(app, session, spec::DemoteParticipants, id, body).await
}

async fn change_members(
    app: AppState,
    session: SessionId,
    command: impl CommandSpec<Request = ChangeParticipants, Answer = ParticipantResults>,
    id: PathId,
    JsonBody(body): JsonBody<ParticipantsRequest>,
) -> MembersResult {
    let group = id.group()?;
    let ParticipantList(participants) = body.participants.checked("participants", ErrorCode::InvalidParticipants)?;
    if participants.is_empty() {
        let text = format!("participants must be a list of 1 to {MOST_PARTICIPANTS} phone numbers");
        return Err(ApiError::new(ErrorCode::InvalidParticipants, text));
    }
    let request = ChangeParticipants { group, participants };
    let ParticipantResults { participants } = ask_gateway(&app, &session, command, &request).await?;
    Ok(data_response(ParticipantsView { participants: participants.into_iter().map(ParticipantView::from).collect() }))
}
