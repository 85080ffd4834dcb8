//! What a caller writes about a session. Pure.

use crate::{
    error_code::ErrorCode,
    fields::{FieldError, FieldValue, field_problem, inline_schema},
    response::ApiError,
};
use kurir_contract::{
    endpoint::{FieldProblem, unmask_password},
    proxy_url::{InvalidProxyUrl, ProxyUrl},
    session::SessionId,
    session_record::{LONGEST_METADATA_KEY, LONGEST_METADATA_VALUE, MOST_METADATA, SessionRecord, SessionSettings},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// The most characters of a session's name.
const LONGEST_NAME: usize = 100;
/// The most characters of a new session's id.
const LONGEST_ID: usize = 63;
const FORM_OF_ID: &str = "1 to 63 of a-z, 0-9, \"_\" and \"-\", the first a letter or a digit, as \"sales-2\"";
/// As of the setting `SEND_GAP`.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// A new session.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct CreateSessionRequest(pub Map<String, Value>);

/// Fields of a session that change; a field that is missing keeps its value, null is the default.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct ChangeSessionRequest(pub Map<String, Value>);

/// The fields of a session that a caller writes.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", extend("additionalProperties" = false))]
#[expect(dead_code, reason = "it is the schema of what `read_fields` reads")]
struct SessionFields {
    /// A name for people, at most 100 characters.
    name: Option<String>,
    /// At most 50 texts, which each event of the session carries as `data.sessionMetadata`.
    metadata: Option<BTreeMap<String, String>>,
    /// As the setting `WHATSAPP_MARK_ONLINE`; absent: as the gateway.
    mark_online: Option<bool>,
    /// As the setting `WHATSAPP_HISTORY_SYNC`; absent: as the gateway.
    history_sync: Option<bool>,
    /// As the setting `WHATSAPP_STATUS_BROADCAST`; absent: as the gateway.
    status_broadcast: Option<bool>,
    /// As the setting `MEDIA_DOWNLOAD`; absent: as the gateway.
    media_download: Option<bool>,
    /// As the setting `SEND_GAP`, for example `2s`; absent: as the gateway.
    send_gap: Option<String>,
    /// As the setting `NEW_CHATS_PER_DAY`; absent: as the gateway.
    new_chats_per_day: Option<u32>,
    /// As the setting `WHATSAPP_PROXY`: `http://`, `https://` or `socks5://`, with user and password if it wants them. A
    /// password that is `••••` is the stored one. Absent: as the gateway.
    proxy: Option<String>,
}

impl JsonSchema for CreateSessionRequest {
    fn schema_name() -> Cow<'static, str> {
        "CreateSessionRequest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = SessionFields::json_schema(generator);
        let id = serde_json::json!({
            "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$", "description": "The session's id in every path."
        });
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("id".to_owned(), id);
        }
        schema.insert("required".to_owned(), Value::from(vec!["id"]));
        schema
    }
}

impl JsonSchema for ChangeSessionRequest {
    fn schema_name() -> Cow<'static, str> {
        "ChangeSessionRequest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SessionFields::json_schema(generator)
    }
}

/// The id and the record of a new session.
///
/// # Errors
/// With everything that is wrong.
pub fn read_new(mut fields: Map<String, Value>) -> Result<(SessionId, SessionRecord), ApiError> {
    let mut problems = Vec::new();
    let id = read_id(fields.remove("id"), &mut problems);
    let record = read_fields(fields, SessionRecord::default(), &mut problems);
    match id {
        Some(id) if problems.is_empty() => Ok((id, record)),
        Some(_) | None => Err(ApiError::invalid(ErrorCode::InvalidSession, problems)),
    }
}

/// The record with the fields that a caller names.
///
/// # Errors
/// With everything that is wrong.
pub fn read_changes(fields: Map<String, Value>, before: SessionRecord) -> Result<SessionRecord, ApiError> {
    let mut problems = Vec::new();
    let record = read_fields(fields, before, &mut problems);
    if problems.is_empty() { Ok(record) } else { Err(ApiError::invalid(ErrorCode::InvalidSession, problems)) }
}

fn read_id(given: Option<Value>, problems: &mut Vec<FieldProblem>) -> Option<SessionId> {
    let id = given.as_ref().and_then(Value::as_str).and_then(parse_id);
    if id.is_none() {
        problems.push(field_problem("id", format!("is required: {FORM_OF_ID}")));
    }
    id
}

/// The id of a new session.
fn parse_id(id: &str) -> Option<SessionId> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let is_id = id.len() <= LONGEST_ID && !id.starts_with(['_', '-']) && id.bytes().all(is_allowed);
    is_id.then(|| id.parse().ok()).flatten()
}

/// The id of a session that may not exist yet.
pub struct NewSessionId(pub SessionId);

impl FieldValue for NewSessionId {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let id = given.as_str().and_then(parse_id);
        id.map(Self).ok_or_else(|| FieldError::predicate(format!("must be {FORM_OF_ID}")))
    }
}

inline_schema!(NewSessionId, |_| json_schema!({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}));

fn read_fields(fields: Map<String, Value>, before: SessionRecord, problems: &mut Vec<FieldProblem>) -> SessionRecord {
    let mut record = before;
    for (name, value) in fields {
        let SessionSettings {
            mark_online,
            history_sync,
            status_broadcast,
            media_download,
            send_gap_ms,
            new_chats_per_day,
            proxy,
        } = &mut record.settings;
        let read = match name.as_str() {
            "name" => assign(&mut record.name, &value, read_name, "must be a text of at most 100 characters"),
            "metadata" => read_metadata(&value).map(|metadata| record.metadata = metadata),
            "markOnline" => assign(mark_online, &value, Value::as_bool, TRUE_OR_FALSE),
            "historySync" => assign(history_sync, &value, Value::as_bool, TRUE_OR_FALSE),
            "statusBroadcast" => assign(status_broadcast, &value, Value::as_bool, TRUE_OR_FALSE),
            "mediaDownload" => assign(media_download, &value, Value::as_bool, TRUE_OR_FALSE),
            "sendGap" => assign(send_gap_ms, &value, read_gap, "must be a time of at most 60s, as \"500ms\" or \"2s\""),
            "newChatsPerDay" => {
                let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
                assign(new_chats_per_day, &value, number, "must be a whole number; 0 is any number")
            }
            "proxy" => read_proxy(&value, proxy.as_ref()).map(|read| *proxy = read),
            _ => Err("is no field of a session".to_owned()),
        };
        if let Err(text) = read {
            problems.push(field_problem(&name, text));
        }
    }
    record
}

const TRUE_OR_FALSE: &str = "must be true or false";

/// Null is the default.
fn assign<T>(
    field: &mut Option<T>,
    value: &Value,
    read: impl Fn(&Value) -> Option<T>,
    wrong: &str,
) -> Result<(), String> {
    *field = match value {
        Value::Null => None,
        value => Some(read(value).ok_or_else(|| wrong.to_owned())?),
    };
    Ok(())
}

fn read_name(value: &Value) -> Option<String> {
    value.as_str().filter(|name| name.chars().count() <= LONGEST_NAME).map(str::to_owned)
}

fn read_gap(value: &Value) -> Option<u64> {
    let gap = humantime::parse_duration(value.as_str()?).ok().filter(|gap| *gap <= LONGEST_GAP)?;
    u64::try_from(gap.as_millis()).ok()
}

/// `before` has the password that a masked URL stands for.
fn read_proxy(value: &Value, before: Option<&ProxyUrl>) -> Result<Option<ProxyUrl>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        value => value.as_str().ok_or_else(|| InvalidProxyUrl.to_string())?,
    };
    let unmasked = unmask_password(text, before.map(ProxyUrl::reveal)).transpose()?;
    unmasked.as_deref().unwrap_or(text).parse().map(Some).map_err(|error: InvalidProxyUrl| error.to_string())
}

fn read_metadata(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let wrong = || {
        format!(
            "must be an object of at most {MOST_METADATA} texts; names have at most {LONGEST_METADATA_KEY} bytes, texts \
             {LONGEST_METADATA_VALUE}"
        )
    };
    let texts = match value {
        Value::Null => return Ok(BTreeMap::new()),
        value => value.as_object().filter(|texts| texts.len() <= MOST_METADATA).ok_or_else(wrong)?,
    };
    let read = |(name, text): (&String, &Value)| {
        let text = text.as_str().filter(|text| text.len() <= LONGEST_METADATA_VALUE)?;
        (name.len() <= LONGEST_METADATA_KEY).then(|| (name.clone(), text.to_owned()))
    };
    texts.iter().map(|entry| read(entry).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn new(fields: Value) -> Result<(SessionId, SessionRecord), Vec<String>> {
        let Value::Object(fields) = fields else { panic!("an object") };
        read_new(fields).map_err(|error| error.problems.into_iter().map(|problem| problem.field).collect())
    }

    #[test]
    fn a_session_is_read_field_by_field() {
        let (id, record) = new(json!({"id": "sales-2", "name": "Sales", "metadata": {"crm": "7"}, "sendGap": "2s",
            "markOnline": true, "newChatsPerDay": 0}))
        .expect("a session");
        assert_eq!((id.as_str(), record.name.as_deref()), ("sales-2", Some("Sales")));
        assert_eq!(record.settings.send_gap_ms, Some(2_000));
        let Value::Object(changes) = json!({"sendGap": null, "name": null}) else { panic!("an object") };
        let changed = read_changes(changes, record.clone()).expect("a change");
        assert_eq!((changed.settings.send_gap_ms, changed.name), (None, None));
        assert_eq!((changed.settings.mark_online, changed.metadata), (Some(true), record.metadata));
    }

    #[test]
    fn a_masked_password_is_the_stored_one_and_goes_to_no_other_proxy() {
        let (_, record) = new(json!({"id": "a", "proxy": "socks5://me:secret@proxy:1080"})).expect("a session");
        let change = |proxy: &str| {
            let Value::Object(changes) = json!({"proxy": proxy}) else { panic!("an object") };
            read_changes(changes, record.clone()).map(|changed| changed.settings.proxy)
        };
        let shown = record.settings.proxy.as_ref().expect("a proxy").masked();
        assert_eq!(change(&shown).expect("unchanged"), record.settings.proxy);
        assert!(change(&shown.replace("proxy", "thief")).is_err());
        assert!(change("ftp://proxy").is_err() && change("http://proxy").is_ok());
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        for id in [json!(null), json!(""), json!("A"), json!("-a"), json!("a.b"), json!("x".repeat(64)), json!(7)] {
            assert_eq!(new(json!({"id": id})), Err(vec!["id".to_owned()]), "{id}");
        }
        let long = json!({"k": "x".repeat(501)});
        let wrong =
            json!({"id": "a", "name": 7, "metadata": long, "markOnline": "yes", "sendGap": "1h", "color": "red"});
        assert_eq!(new(wrong), Err(["color", "markOnline", "metadata", "name", "sendGap"].map(str::to_owned).into()));
        let many: Map<String, Value> = (0..51).map(|n| (n.to_string(), json!("x"))).collect();
        assert_eq!(new(json!({"id": "a", "metadata": many})), Err(vec!["metadata".to_owned()]));
    }
}
