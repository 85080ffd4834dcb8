//! The settings that an account's devices share, as its phone sees and changes them.

use axum::{Json, extract::State};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use waproto::whatsapp::SyncActionValue;

use super::response::{ApiError, ApiResult, Created, JsonBody, NumberPath};
use crate::{
    app_state::{AppState, COLLECTIONS, NewSetting, Setting, SettingIndex},
    state::SharedState,
};

#[derive(Serialize, JsonSchema)]
pub struct CollectionView {
    collection: &'static str,
    version: u64,
    settings: Vec<SettingView>,
}

#[derive(Serialize, JsonSchema)]
pub struct SettingView {
    index: Vec<String>,
    /// `SyncActionValue`, as protobuf in base64.
    value: Option<String>,
}

impl From<Setting> for SettingView {
    fn from(setting: Setting) -> Self {
        let value = setting.value.map(|value| BASE64_STANDARD.encode(value.encode_to_vec()));
        Self { index: setting.index, value }
    }
}

pub async fn show(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
) -> ApiResult<Json<Vec<CollectionView>>> {
    let server = shared.lock();
    let state = server.people.get(&number).and_then(|person| person.app_state.as_ref());
    let state = state.ok_or_else(|| ApiError::not_found(format!("{number} has no settings: pair a client first")))?;
    Ok(Json(collections(state)))
}

fn collections(state: &AppState) -> Vec<CollectionView> {
    COLLECTIONS
        .iter()
        .map(|collection| CollectionView {
            collection,
            version: state.version(collection),
            settings: state.settings(collection).into_iter().map(SettingView::from).collect(),
        })
        .collect()
}

/// Any setting, as protobuf.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSetting {
    collection: String,
    index: Vec<String>,
    version: i32,
    #[serde(default)]
    remove: bool,
    #[serde(default)]
    base64: String,
}

impl TryFrom<RawSetting> for NewSetting {
    type Error = ApiError;

    fn try_from(raw: RawSetting) -> ApiResult<Self> {
        if !COLLECTIONS.contains(&raw.collection.as_str()) {
            return Err(ApiError::bad(format!("`collection` is one of {}", COLLECTIONS.join(", "))));
        }
        let bytes = BASE64_STANDARD.decode(&raw.base64).map_err(|error| ApiError::bad(format!("`base64`: {error}")))?;
        let value = SyncActionValue::decode_from_slice(&bytes)
            .map_err(|error| ApiError::bad(format!("`base64` is no SyncActionValue: {error}")))?;
        Ok(Self { collection: raw.collection, index: raw.index, version: raw.version, value, is_removed: raw.remove })
    }
}

pub async fn change(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(change): JsonBody<serde_json::Value>,
) -> ApiResult<Created<serde_json::Value>> {
    // Not one type with two forms: the error names what is wrong in the form that was meant.
    let problem = |error: serde_json::Error| ApiError::bad(format!("the body is not what this call takes: {error}"));
    let new = if change.get("setting").is_some() {
        NewSetting::from(serde_json::from_value::<SettingIndex>(change).map_err(problem)?)
    } else {
        serde_json::from_value::<RawSetting>(change).map_err(problem)?.try_into()?
    };
    let version = shared.lock().change_setting(&number, &new)?;
    Ok(Created(serde_json::json!({"collection": new.collection, "version": version})))
}
