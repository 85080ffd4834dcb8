//! `groups`: shown, made, changed, joined and left, and their invitation links.

use super::{
    gateway_request::{ask_gateway, session_path},
    group_members::ParticipantView,
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, QueryParams, SessionPath},
    fields::{
        Field, FieldError, FieldErrors, FieldValue, Flag, GroupJid, PageQuery, ParticipantList, Text, inline_schema,
    },
    response::{
        ApiError, CreatedResponse, DataResponse, JsonResult, MessageResponse, PageResponse, data_response,
        message_response, page_response,
    },
};
use axum::{Json, extract::State};
use kurir_contract::command::{
    group::{
        ChangeGroup, CreateGroup, GroupCreated, GroupDetails, GroupJoined, GroupLeft, GroupPage, GroupRequest,
        GroupSummary, InviteLink, JoinGroup, LONGEST_DESCRIPTION, LONGEST_SUBJECT, ListGroups,
    },
    spec,
};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub async fn list_groups(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    QueryParams(query): QueryParams<PageQuery>,
) -> JsonResult<PageResponse<GroupSummary>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let (limit, after) = query.read(&mut errors);
    let after = after.and_then(|after| match GroupJid::parse(&after.into()) {
        Ok(GroupJid(group)) => Some(group),
        Err(error) => {
            errors.add("after", error);
            None
        }
    });
    errors.finish(|| Some(()))?;
    let page = ask_gateway(&app, &session, spec::ListGroups, &ListGroups { limit, after }).await?;
    let GroupPage { groups, next } = page;
    Ok(page_response(groups, next.map(|next| next.to_string())))
}

/// A new group.
#[derive(Deserialize, JsonSchema)]
pub struct CreateGroupRequest {
    subject: Field<GroupSubject>,
    participants: Option<Field<ParticipantList>>,
}

/// 1 to 100 characters.
struct GroupSubject(String);

/// A new group, and how it went with each of those who were to be in it.
#[derive(Serialize, JsonSchema)]
pub struct GroupCreatedResponse {
    #[schemars(extend("const" = true))]
    success: bool,
    data: GroupDetails,
    participants: Vec<ParticipantView>,
}

pub async fn create_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<CreateGroupRequest>,
) -> Result<CreatedResponse<GroupCreatedResponse>, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidGroup);
    let subject = errors.take("subject", body.subject);
    let participants = errors.take_optional("participants", body.participants);
    let request = errors.finish(|| {
        let GroupSubject(subject) = subject?;
        let participants = participants.map(|ParticipantList(people)| people).unwrap_or_default();
        Some(CreateGroup { subject, participants })
    })?;
    let created = ask_gateway(&app, &session, spec::CreateGroup, &request).await?;
    let GroupCreated { group, participants } = created;
    let location = session_path(&session, &format!("groups/{}", group.id));
    let participants = participants.into_iter().map(ParticipantView::from).collect();
    let body = Json(GroupCreatedResponse { success: true, data: group, participants });
    Ok(CreatedResponse { location, body })
}

pub async fn show_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<GroupDetails>> {
    Ok(data_response(ask_gateway(&app, &session, spec::Group, &group_request(&id)?).await?))
}

/// What of a group is to change; what is missing stays as it is.
#[derive(Deserialize, JsonSchema)]
pub struct ChangeGroupRequest {
    subject: Option<Field<GroupSubject>>,
    /// Null or empty removes it.
    #[serde(default)]
    #[schemars(with = "Option<Field<Text<0, LONGEST_DESCRIPTION>>>")]
    description: DescriptionChange,
    /// Whether only administrators may write.
    announcement: Option<Field<Flag>>,
    /// Whether only administrators may change the group's data.
    locked: Option<Field<Flag>>,
}

/// A description that may be missing, which changes nothing, or null, which removes it.
#[derive(Default)]
struct DescriptionChange(Option<Field<RemovableText>>);

/// A text; null is an empty one.
struct RemovableText(String);

impl<'de> Deserialize<'de> for DescriptionChange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Field::deserialize(deserializer).map(Some).map(Self)
    }
}

pub async fn change_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    JsonBody(body): JsonBody<ChangeGroupRequest>,
) -> JsonResult<DataResponse<GroupDetails>> {
    let group = id.group()?;
    let mut errors = FieldErrors::new(ErrorCode::InvalidGroup);
    let subject = errors.take_optional("subject", body.subject).map(|GroupSubject(subject)| subject);
    let description = errors.take_optional("description", body.description.0).map(|RemovableText(text)| text);
    let announcement = errors.take_optional("announcement", body.announcement).map(|Flag(flag)| flag);
    let locked = errors.take_optional("locked", body.locked).map(|Flag(flag)| flag);
    let request = errors.finish(|| Some(ChangeGroup { group, subject, description, announcement, locked }))?;
    if let ChangeGroup { subject: None, description: None, announcement: None, locked: None, .. } = request {
        let text = "Nothing to change: give subject, description, announcement or locked";
        return Err(ApiError::new(ErrorCode::InvalidGroup, text));
    }
    Ok(data_response(ask_gateway(&app, &session, spec::ChangeGroup, &request).await?))
}

pub async fn invite(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<InviteLink>> {
    Ok(data_response(ask_gateway(&app, &session, spec::GroupInvite, &group_request(&id)?).await?))
}

/// Makes a new link; the old one is no longer valid.
pub async fn revoke_invite(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<InviteLink>> {
    Ok(data_response(ask_gateway(&app, &session, spec::RevokeGroupInvite, &group_request(&id)?).await?))
}

/// An invitation: its code, or its link.
#[derive(Deserialize, JsonSchema)]
pub struct JoinGroupRequest {
    code: Option<Field<InviteCode>>,
    link: Option<Field<InviteCode>>,
}

struct InviteCode(String);

pub async fn join_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<JoinGroupRequest>,
) -> JsonResult<DataResponse<GroupJoined>> {
    let given = body.code.or(body.link);
    let code = match given {
        Some(code) => code.checked("code", ErrorCode::InvalidInvite)?,
        None => return Err(InviteCode::invalid().into_api_error("code", ErrorCode::InvalidInvite)),
    };
    Ok(data_response(ask_gateway(&app, &session, spec::JoinGroup, &JoinGroup { code: code.0 }).await?))
}

pub async fn leave_group(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<MessageResponse> {
    let GroupLeft {} = ask_gateway(&app, &session, spec::LeaveGroup, &group_request(&id)?).await?;
    Ok(message_response("Left the group"))
}

fn group_request(id: &PathId) -> Result<GroupRequest, ApiError> {
    Ok(GroupRequest { group: id.group()? })
}

impl FieldValue for GroupSubject {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        if given.is_null() || given.as_str().is_some_and(|subject| subject.trim().is_empty()) {
            return Err(FieldError::predicate(format!("is required: 1 to {LONGEST_SUBJECT} characters")));
        }
        // The text of a longer one names the upper bound alone.
        Text::<0, LONGEST_SUBJECT>::parse(given).map(|Text(subject)| Self(subject))
    }
}

impl FieldValue for RemovableText {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        if given.is_null() {
            return Ok(Self(String::new()));
        }
        Text::<0, LONGEST_DESCRIPTION>::parse(given).map(|Text(text)| Self(text))
    }
}

impl InviteCode {
    fn invalid() -> FieldError {
        let text = "code or link is required: what stands behind https://chat.whatsapp.com/";
        FieldError::sentence(ErrorCode::InvalidInvite, text)
    }
}

impl FieldValue for InviteCode {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        // A link, and then some.
        Text::<1, 256>::parse(given).map(|Text(code)| Self(code)).map_err(|_| Self::invalid())
    }
}

inline_schema!(
    GroupSubject,
    |_| json_schema!({"type": "string", "minLength": 1, "maxLength": LONGEST_SUBJECT, "description": "The group's name."})
);
inline_schema!(RemovableText, |_| json_schema!({"type": ["string", "null"], "maxLength": LONGEST_DESCRIPTION}));
inline_schema!(
    InviteCode,
    |_| json_schema!({"type": "string", "minLength": 1, "maxLength": 256, "description": "What stands behind https://chat.whatsapp.com/, or the whole link."})
);
