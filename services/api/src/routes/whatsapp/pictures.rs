//! Pictures: a contact's, the account's own, a group's.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, SessionPath},
    fields::{Field, FieldError, FieldValue, inline_schema},
    response::{ApiError, DataResponse, JsonResult, data_response},
};
use axum::extract::State;
use kurir_contract::{
    address::ChatJid,
    command::{
        people::{LONGEST_PICTURE, PictureLink, PictureLookup, PictureRequest, PictureUpdate, SetPicture},
        spec,
    },
    session::SessionId,
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// A new picture.
#[derive(Deserialize, JsonSchema)]
pub struct SetPictureRequest {
    picture: Field<JpegBase64>,
}

/// The text of a picture, of which only the length is looked at: the gateway reads it, and refuses what is no JPEG.
struct JpegBase64(String);

pub async fn contact_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<PictureLink>> {
    look_up_picture(&app, &session, id.person()?).await
}

pub async fn group_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<PictureLink>> {
    look_up_picture(&app, &session, id.group()?).await
}

pub async fn set_own_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<SetPictureRequest>,
) -> JsonResult<DataResponse<PictureUpdate>> {
    let JpegBase64(picture) = body.picture.checked("picture", ErrorCode::InvalidPicture)?;
    set_picture(&app, &session, SetPicture { group: None, picture: Some(picture) }).await
}

pub async fn remove_own_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
) -> JsonResult<DataResponse<PictureUpdate>> {
    set_picture(&app, &session, SetPicture { group: None, picture: None }).await
}

pub async fn set_group_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    JsonBody(body): JsonBody<SetPictureRequest>,
) -> JsonResult<DataResponse<PictureUpdate>> {
    let group = id.group()?;
    let JpegBase64(picture) = body.picture.checked("picture", ErrorCode::InvalidPicture)?;
    set_picture(&app, &session, SetPicture { group: Some(group), picture: Some(picture) }).await
}

pub async fn remove_group_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<PictureUpdate>> {
    set_picture(&app, &session, SetPicture { group: Some(id.group()?), picture: None }).await
}

async fn look_up_picture(app: &AppState, session: &SessionId, of: ChatJid) -> JsonResult<DataResponse<PictureLink>> {
    let PictureLookup { picture } = ask_gateway(app, session, spec::Picture, &PictureRequest { of }).await?;
    let text = "There is no picture, or none for this account to see";
    let picture = picture.ok_or_else(|| ApiError::new(ErrorCode::PictureNotFound, text))?;
    Ok(data_response(picture))
}

async fn set_picture(
    app: &AppState,
    session: &SessionId,
    request: SetPicture,
) -> JsonResult<DataResponse<PictureUpdate>> {
    Ok(data_response(ask_gateway(app, session, spec::SetPicture, &request).await?))
}

impl FieldValue for JpegBase64 {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        // Browsers put a prefix in front.
        let picture = given.as_str().map(|text| text.strip_prefix("data:image/jpeg;base64,").unwrap_or(text));
        let picture = picture.filter(|picture| (1..=LONGEST_PICTURE).contains(&picture.len()));
        picture.map(|picture| Self(picture.to_owned())).ok_or_else(|| {
            FieldError::predicate(format!("is required: a JPEG in base64, of at most {LONGEST_PICTURE} characters"))
        })
    }
}

inline_schema!(
    JpegBase64,
    |_| json_schema!({"type": "string", "minLength": 1, "maxLength": LONGEST_PICTURE, "contentEncoding": "base64", "contentMediaType": "image/jpeg", "description": "A JPEG in base64."})
);
