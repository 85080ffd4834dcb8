//! `/api/keys`: the keys of the API, and `/api/audit`: what each changed.

use super::events::{page_of, read_page, text_value};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, QueryParams},
    fields::{
        CursorText, Field, FieldError, FieldErrors, FieldValue, PageLimit, PageQuery, Text, Timestamp, inline_schema,
    },
    index::query::audit::{AuditFilter, list_audit},
    keys::{Caller, KeyRecord, NewKey, Scope},
    response::ApiError,
    response::{
        CreatedResponse, DataResponse, JsonResult, MessageResponse, PageResponse, data_response, message_response,
        page_response,
    },
};
use axum::extract::State;
use kurir_contract::{audit::AuditEntry, clock, session::SessionId};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Sessions to which one key can be bound.
const MOST_SESSIONS: usize = 100;
const MOST_REQUESTS: u32 = 1_000_000;

/// A key, without the key.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    id: String,
    name: String,
    /// The first characters of the key.
    starts_with: String,
    scopes: Vec<Scope>,
    /// Empty: all.
    sessions: Vec<SessionId>,
    /// ISO 8601; null: never.
    expires_at: Option<String>,
    /// Whether it is over.
    expired: bool,
    /// Null: no limit.
    requests_per_minute: Option<u32>,
    created_at: String,
    /// The id of the key that made it.
    created_by: String,
}

/// A key that was just made.
#[derive(Serialize, JsonSchema)]
pub struct CreatedKeyView {
    #[serde(flatten)]
    view: KeyView,
    /// The key itself: shown this once.
    key: String,
}

impl From<KeyRecord> for KeyView {
    fn from(record: KeyRecord) -> Self {
        let expired = !record.is_valid(clock::now());
        let KeyRecord { id, name, starts_with, scopes, sessions, expires_at, requests_per_minute, .. } = record;
        let (created_at, created_by) = (record.created_at, record.created_by);
        Self {
            id,
            name,
            starts_with,
            scopes,
            sessions,
            expires_at,
            expired,
            requests_per_minute,
            created_at,
            created_by,
        }
    }
}

/// A new key.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct CreateKeyRequest {
    name: Field<Text<1, 100>>,
    scopes: Field<Scopes>,
    /// Empty or missing: all.
    sessions: Option<Field<Sessions>>,
    /// A time in the future; never if it is missing.
    expires_at: Option<Field<Timestamp>>,
    /// No limit if it is missing.
    requests_per_minute: Option<Field<RequestsPerMinute>>,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: Map<String, Value>,
}

struct Scopes(Vec<Scope>);
struct Sessions(Vec<SessionId>);
struct RequestsPerMinute(u32);

/// The oldest first.
pub async fn list(
    State(app): State<AppState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> JsonResult<PageResponse<KeyView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let (limit, after) = query.read(&mut errors);
    errors.finish(|| Some(()))?;
    let mut all = app.keys.all().await?;
    if let Some(after) = after {
        let at = all.iter().position(|key| key.id == after);
        let at = at.ok_or_else(|| CursorText::invalid().into_api_error("after", ErrorCode::InvalidQuery))?;
        all.drain(..=at);
    }
    let has_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| has_more).map(|last| last.id.clone());
    Ok(page_response(all.into_iter().map(KeyView::from).collect(), next))
}

/// The key itself is in the answer, and nowhere else.
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    JsonBody(body): JsonBody<CreateKeyRequest>,
) -> Result<CreatedResponse<DataResponse<CreatedKeyView>>, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidKey);
    errors.refuse_unknown(&body.unknown);
    let name = errors.take("name", body.name);
    let scopes = errors.take("scopes", body.scopes);
    let sessions = errors.take_optional("sessions", body.sessions).map(|Sessions(sessions)| sessions);
    let expires_at = errors.take_optional("expiresAt", body.expires_at).map(|Timestamp(at)| at);
    if expires_at.is_some_and(|at| at <= clock::now()) {
        errors.add("expiresAt", FieldError::predicate("is in the past"));
    }
    let requests_per_minute = errors.take_optional("requestsPerMinute", body.requests_per_minute);
    let requests_per_minute = requests_per_minute.map(|RequestsPerMinute(most)| most);
    let is_bound = sessions.as_ref().is_some_and(|sessions| !sessions.is_empty());
    if is_bound && scopes.as_ref().is_some_and(|Scopes(scopes)| scopes.contains(&Scope::Admin)) {
        errors.add("sessions", FieldError::predicate("cannot bind a key with the scope admin, which is about all"));
    }
    let new = errors.finish(|| {
        let (Text(name), Scopes(scopes)) = (name?, scopes?);
        Some(NewKey { name, scopes, sessions: sessions.unwrap_or_default(), expires_at, requests_per_minute })
    })?;
    let (record, key) = KeyRecord::create(new, &caller.key_id);
    app.keys.create(&record).await?;
    tracing::info!("the key {} was made by {}", record.id, caller.key_id);
    let location = format!("/api/keys/{}", record.id);
    Ok(CreatedResponse { location, body: data_response(CreatedKeyView { view: record.into(), key }) })
}

/// It is refused from now on, by every replica.
pub async fn delete(State(app): State<AppState>, id: PathId) -> JsonResult<MessageResponse> {
    app.keys.delete(&id.0).await?;
    Ok(message_response("Key deleted"))
}

/// Which entries a list shows.
#[derive(Deserialize, JsonSchema)]
pub struct ListAuditQuery {
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only what this key did: its id, or `environment` for `API_KEY`.
    key: Option<Field<Text<1, 64>>>,
    /// Only what was done to this endpoint, message, job, ….
    target: Option<Field<Text<1, 256>>>,
}

/// The newest first.
pub async fn audit(
    State(app): State<AppState>,
    QueryParams(query): QueryParams<ListAuditQuery>,
) -> JsonResult<PageResponse<AuditEntry>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let page = read_page(&mut errors, query.limit, query.after);
    let key = text_value(errors.take_optional("key", query.key));
    let target = text_value(errors.take_optional("target", query.target));
    errors.finish(|| Some(()))?;
    let filter = AuditFilter { key, target };
    page_of(app.index.query(move |connection| list_audit(connection, &filter, &page)).await?)
}

impl FieldValue for Scopes {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let scopes: Option<Vec<Scope>> = serde_json::from_value(given.clone()).ok();
        scopes.filter(|scopes| (1..=16).contains(&scopes.len())).map(Self).ok_or_else(|| {
            let all = Scope::ALL.map(Scope::as_str).join(", ");
            FieldError::predicate(format!("must be a list of at least one of {all}"))
        })
    }
}

impl FieldValue for Sessions {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let sessions: Option<Vec<SessionId>> =
            if given.is_null() { Some(Vec::new()) } else { serde_json::from_value(given.clone()).ok() };
        sessions.filter(|sessions| sessions.len() <= MOST_SESSIONS).map(Self).ok_or_else(|| {
            FieldError::predicate(format!("must be a list of at most {MOST_SESSIONS} names of sessions"))
        })
    }
}

impl FieldValue for RequestsPerMinute {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let number = given.as_u64().and_then(|number| u32::try_from(number).ok());
        number
            .filter(|number| (1..=MOST_REQUESTS).contains(number))
            .map(Self)
            .ok_or_else(|| FieldError::predicate(format!("must be a whole number from 1 to {MOST_REQUESTS}")))
    }
}

inline_schema!(Scopes, |generator| {
    let scope = generator.subschema_for::<Scope>();
    json_schema!({"type": "array", "minItems": 1, "maxItems": 16, "items": scope, "examples": [["read", "send"]]})
});
inline_schema!(Sessions, |_| json_schema!({
    "type": "array", "maxItems": MOST_SESSIONS, "items": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
}));
inline_schema!(RequestsPerMinute, |_| json_schema!({"type": "integer", "minimum": 1, "maximum": MOST_REQUESTS}));
