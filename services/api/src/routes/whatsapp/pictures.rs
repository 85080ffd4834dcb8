//! Pictures: a contact's, the account's own, a group's.

use super::{ask_gateway, contacts::named, groups::group};
use crate::extract::SessionPath;
use crate::{
    app_state::AppState,
    extract::JsonObject,
    extract::PathId,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    address::ChatJid,
    command::{
        Command,
        people::{LONGEST_PICTURE, PictureLookup, PictureRequest, PictureUpdate, SetPicture},
    },
    session::SessionId,
};
use serde_json::{Map, Value, json};

pub async fn contact_picture(State(app): State<AppState>, SessionPath(session): SessionPath, id: PathId) -> JsonResult {
    show(&app, &session, named(&id)?).await
}

pub async fn group_picture(State(app): State<AppState>, SessionPath(session): SessionPath, id: PathId) -> JsonResult {
    show(&app, &session, group(&id)?).await
}

pub async fn set_own_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    set(&app, &session, SetPicture { group: None, picture: Some(picture(&fields)?) }).await
}

pub async fn remove_own_picture(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    set(&app, &session, SetPicture { group: None, picture: None }).await
}

pub async fn set_group_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    set(&app, &session, SetPicture { group: Some(group(&id)?), picture: Some(picture(&fields)?) }).await
}

pub async fn remove_group_picture(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult {
    set(&app, &session, SetPicture { group: Some(group(&id)?), picture: None }).await
}

async fn show(app: &AppState, session: &SessionId, of: ChatJid) -> JsonResult {
    let PictureLookup { picture } = ask_gateway(app, session, Command::Picture, &PictureRequest { of }).await?;
    let none = "There is no picture, or none for this account to see";
    let picture = picture.ok_or_else(|| ApiError::not_found("picture_not_found", none))?;
    Ok(Json(json!({"success": true, "data": picture})))
}

async fn set(app: &AppState, session: &SessionId, request: SetPicture) -> JsonResult {
    let set: PictureUpdate = ask_gateway(app, session, Command::SetPicture, &request).await?;
    Ok(Json(json!({"success": true, "data": set})))
}

/// Its length alone is looked at here: the gateway reads it, and refuses what is no JPEG.
fn picture(fields: &Map<String, Value>) -> Result<String, ApiError> {
    let picture = fields.get("picture").and_then(Value::as_str);
    // What browsers put in front.
    let picture = picture.map(|picture| picture.strip_prefix("data:image/jpeg;base64,").unwrap_or(picture));
    let picture = picture.filter(|picture| (1..=LONGEST_PICTURE).contains(&picture.len())).ok_or_else(|| {
        let text = format!("picture is required: a JPEG in base64, of at most {LONGEST_PICTURE} characters");
        ApiError::bad_request("invalid_picture", text)
    })?;
    Ok(picture.to_owned())
}
