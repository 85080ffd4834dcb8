//! `groups`: shown, made, changed, joined and left, and their invitation links.

use super::ask_gateway;
use crate::extract::SessionPath;
use crate::{
    app_state::AppState,
    extract::JsonObject,
    extract::{PathId, QueryParams, field_problem},
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::{
    address::ChatJid,
    command::{
        Command,
        group::{
            ChangeGroup, CreateGroup, GroupCreated, GroupDetails, GroupJoined, GroupLeft, GroupPage, GroupRequest,
            InviteLink, JoinGroup, LONGEST_DESCRIPTION, LONGEST_SUBJECT, ListGroups,
        },
    },
    endpoint::FieldProblem,
};
use serde_json::{Map, Value, json};

use super::group_members::participants;

/// A link, and then some.
const LONGEST_CODE: usize = 256;

pub async fn list_groups(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    query: QueryParams,
) -> JsonResult {
    let after = query.get("after").map(group_named).transpose()?;
    let request = ListGroups { limit: query.limit()?, after };
    let GroupPage { groups, next } = ask_gateway(&app, &session, Command::ListGroups, &request).await?;
    Ok(Json(json!({"success": true, "data": groups, "next": next})))
}

pub async fn create_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let subject = text(&fields, "subject", LONGEST_SUBJECT).map_err(invalid)?.unwrap_or_default();
    if subject.is_empty() {
        return Err(invalid(field_problem("subject", format!("is required: 1 to {LONGEST_SUBJECT} characters"))));
    }
    let participants = if fields.contains_key("participants") { participants(&fields)? } else { Vec::new() };
    let request = CreateGroup { subject, participants };
    let GroupCreated { group, participants } = ask_gateway(&app, &session, Command::CreateGroup, &request).await?;
    Ok((StatusCode::CREATED, Json(json!({"success": true, "data": group, "participants": participants}))))
}

pub async fn show_group(State(app): State<AppState>, SessionPath(session): SessionPath, id: PathId) -> JsonResult {
    let group: GroupDetails = ask_gateway(&app, &session, Command::Group, &of(&id)?).await?;
    Ok(Json(json!({"success": true, "data": group})))
}

pub async fn change_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let request = change(group(&id)?, &fields)?;
    let group: GroupDetails = ask_gateway(&app, &session, Command::ChangeGroup, &request).await?;
    Ok(Json(json!({"success": true, "data": group})))
}

pub async fn invite(State(app): State<AppState>, SessionPath(session): SessionPath, id: PathId) -> JsonResult {
    let invite: InviteLink = ask_gateway(&app, &session, Command::GroupInvite, &of(&id)?).await?;
    Ok(Json(json!({"success": true, "data": invite})))
}

/// The old link is no longer good; the answer has the new one.
pub async fn revoke_invite(State(app): State<AppState>, SessionPath(session): SessionPath, id: PathId) -> JsonResult {
    let invite: InviteLink = ask_gateway(&app, &session, Command::RevokeGroupInvite, &of(&id)?).await?;
    Ok(Json(json!({"success": true, "data": invite})))
}

pub async fn join_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let given = fields.get("code").or_else(|| fields.get("link")).and_then(Value::as_str).map(str::trim);
    let code = given.filter(|code| (1..=LONGEST_CODE).contains(&code.len())).ok_or_else(|| {
        ApiError::bad_request(
            "invalid_invite",
            "code or link is required: what stands behind https://chat.whatsapp.com/",
        )
    })?;
    let joined: GroupJoined =
        ask_gateway(&app, &session, Command::JoinGroup, &JoinGroup { code: code.to_owned() }).await?;
    Ok(Json(json!({"success": true, "data": joined})))
}

pub async fn leave_group(State(app): State<AppState>, SessionPath(session): SessionPath, id: PathId) -> JsonResult {
    let GroupLeft {} = ask_gateway(&app, &session, Command::LeaveGroup, &of(&id)?).await?;
    Ok(Json(json!({"success": true, "message": "Left the group"})))
}

fn change(group: ChatJid, fields: &Map<String, Value>) -> Result<ChangeGroup, ApiError> {
    // `null` removes a description, as an empty one does.
    let removed = matches!(fields.get("description"), Some(Value::Null)).then(String::new);
    let change = ChangeGroup {
        group,
        subject: text(fields, "subject", LONGEST_SUBJECT).map_err(invalid)?,
        description: text(fields, "description", LONGEST_DESCRIPTION).map_err(invalid)?.or(removed),
        announcement: flag(fields, "announcement").map_err(invalid)?,
        locked: flag(fields, "locked").map_err(invalid)?,
    };
    match &change {
        ChangeGroup { subject: Some(subject), .. } if subject.is_empty() => {
            Err(invalid(field_problem("subject", format!("must have 1 to {LONGEST_SUBJECT} characters"))))
        }
        ChangeGroup { subject: None, description: None, announcement: None, locked: None, .. } => {
            Err(ApiError::bad_request(
                "invalid_group",
                "Nothing to change: give subject, description, announcement or locked",
            ))
        }
        _ => Ok(change),
    }
}

fn text(fields: &Map<String, Value>, name: &str, longest: usize) -> Result<Option<String>, FieldProblem> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().chars().count() <= longest => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(field_problem(name, format!("must be a string of at most {longest} characters"))),
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<Option<bool>, FieldProblem> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(field_problem(name, "must be true or false")),
    }
}

fn invalid(problem: FieldProblem) -> ApiError {
    ApiError::invalid("invalid_group", vec![problem])
}

fn of(id: &PathId) -> Result<GroupRequest, ApiError> {
    Ok(GroupRequest { group: group(id)? })
}

/// The group in a route's path.
pub(super) fn group(id: &PathId) -> Result<ChatJid, ApiError> {
    group_named(&id.0)
}

/// By its whole JID, or by what stands in front of the `@`.
fn group_named(id: &str) -> Result<ChatJid, ApiError> {
    let whole = if id.contains('@') { id.to_owned() } else { format!("{id}@g.us") };
    ChatJid::from_recipient(&whole).ok().filter(ChatJid::is_group).ok_or_else(|| {
        ApiError::bad_request("invalid_group", "A group's id looks like 120363000000000001@g.us, or the digits alone")
    })
}
