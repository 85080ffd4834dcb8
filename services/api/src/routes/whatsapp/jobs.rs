//! `/api/whatsapp/jobs`: messages that go out one after the other behind the answer, now or at their time.
//!
//! The gateway stores and sends them; here a job is checked, asked for, looked at and cancelled.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    extract::JsonObject,
    extract::{PathId, QueryParams, field_problem, parse_timestamp},
    metrics::ApiCounter,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::{
    clock,
    command::{Command, IdempotencyKey, QueuedSend, WaitReason},
    job::{self, JobId, JobItem, JobRecord, JobRequest, JobState, SendJob},
    session::SessionId,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{parse_recipient, send_bulk};

/// The code of a body that is no job.
const INVALID: &str = "invalid_job";
/// A name is for people.
const LONGEST_NAME: usize = 200;

pub async fn create(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let now = OffsetDateTime::now_utc();
    let job = SendJob {
        id: id_of(&session, key.as_ref()),
        name: name(fields.get("name"))?,
        created_at: clock::iso(now),
        send_at: send_at_of_job(&fields)?.map(clock::iso),
        items: items(&fields)?,
    };
    let messages: Vec<Value> = (job.items.iter().enumerate())
        .map(|(index, item)| {
            let id = job.id.part(index).message_id(&session);
            json!({"index": index, "to": item.arguments["to"], "messageId": id})
        })
        .collect();
    let record = submit(&app, &session, &job).await?;
    app.metrics.count(ApiCounter::BulkRequests, now);
    let mut data = shown(&record);
    data["messages"] = messages.into();
    Ok((StatusCode::ACCEPTED, Json(json!({"success": true, "data": data}))))
}

/// The newest first.
pub async fn list(State(app): State<AppState>, SessionPath(session): SessionPath, query: QueryParams) -> JsonResult {
    let limit = query.limit()?;
    let state = match query.get("state") {
        None => None,
        Some(given) => Some(JobState::ALL.into_iter().find(|state| state.as_str() == given).ok_or_else(|| {
            let all: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
            ApiError::invalid(
                "invalid_query",
                vec![field_problem("state", format!("must be one of {}", all.join(", ")))],
            )
        })?),
    };
    let mut all = app.jobs.all(&session).await?;
    all.retain(|job| state.is_none_or(|state| job.state == state));
    all.truncate(limit);
    Ok(Json(json!({"success": true, "data": all.iter().map(shown).collect::<Vec<_>>()})))
}

pub async fn show(State(app): State<AppState>, SessionPath(session): SessionPath, PathId(id): PathId) -> JsonResult {
    let record = app.jobs.get(&session, &named(id)?).await?;
    Ok(Json(json!({"success": true, "data": shown(&record)})))
}

/// What was sent by then is sent.
pub async fn cancel(State(app): State<AppState>, SessionPath(session): SessionPath, PathId(id): PathId) -> JsonResult {
    let id = named(id)?;
    app.jobs.get(&session, &id).await?;
    let record: JobRecord = app
        .gateway
        .ask(&session, Command::CancelJob, &JobRequest { id })
        .await
        .map_err(|error| gateway_error(error, Command::CancelJob, &session))?;
    Ok(Json(json!({"success": true, "data": shown(&record)})))
}

/// Keeps one message until its time.
pub(super) async fn schedule(
    app: &AppState,
    session: &SessionId,
    command: Command,
    message: &impl Serialize,
    at: OffsetDateTime,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut arguments = serde_json::to_value(message).map_err(|error| {
        tracing::error!("a message could not be written as JSON: {error}");
        ApiError::internal()
    })?;
    // The job has the key, and its message one made of it.
    let key = arguments.as_object_mut().and_then(|fields| fields.remove("idempotencyKey"));
    let key: Option<IdempotencyKey> = key.and_then(|key| key.as_str().and_then(|key| key.parse().ok()));
    let to = arguments["to"].as_str().map(|to| parse_recipient(Some(&Value::from(to)))).transpose()?;
    let job = SendJob {
        id: id_of(session, key.as_ref()),
        name: None,
        created_at: clock::now_iso(),
        send_at: Some(clock::iso(at)),
        items: vec![JobItem { command: command.as_str().to_owned(), arguments }],
    };
    let record = submit(app, session, &job).await?;
    let Some(to) = to else { return Err(ApiError::internal()) };
    Ok(queued(&QueuedSend {
        message_id: job.id.part(0).message_id(session),
        job_id: record.id,
        to,
        until: record.send_at.unwrap_or_default(),
        reason: WaitReason::Scheduled,
    }))
}

/// What the caller of a send hears whose message goes out later.
pub(super) fn queued(queued: &QueuedSend) -> (StatusCode, Json<Value>) {
    let mut body = json!(queued);
    body["success"] = true.into();
    body["status"] = "queued".into();
    body["message"] = "Message queued".into();
    (StatusCode::ACCEPTED, Json(body))
}

/// `sendAt` as a job has it, if it is there: of a poll, whose `options` are its own.
pub(super) fn send_at_of_job(fields: &Map<String, Value>) -> Result<Option<OffsetDateTime>, ApiError> {
    later(fields.get("sendAt"), "sendAt", OffsetDateTime::now_utc())
}

/// `options.sendAt`, if it is there.
pub(super) fn send_at(fields: &Map<String, Value>) -> Result<Option<OffsetDateTime>, ApiError> {
    let given = fields.get("options").and_then(|options| options.get("sendAt"));
    later(given, "options.sendAt", OffsetDateTime::now_utc())
}

async fn submit(app: &AppState, session: &SessionId, job: &SendJob) -> Result<JobRecord, ApiError> {
    if serde_json::to_vec(job).map_or(usize::MAX, |job| job.len()) > job::LARGEST {
        let text = "The job is larger than 1 MB: split it into several";
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "job_too_large", text));
    }
    let record = app.gateway.ask(session, Command::SubmitJob, job).await;
    record.map_err(|error| gateway_error(error, Command::SubmitJob, session))
}

fn id_of(session: &SessionId, key: Option<&IdempotencyKey>) -> JobId {
    key.map_or_else(JobId::random, |key| JobId::of(session, key))
}

/// What is no id is no job's either.
fn named(id: String) -> Result<JobId, ApiError> {
    JobId::try_from(id).map_err(|_| crate::job_store::not_found())
}

fn shown(record: &JobRecord) -> Value {
    let mut shown = json!(record);
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("request");
    }
    shown
}

fn name(given: Option<&Value>) -> Result<Option<String>, ApiError> {
    match given {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if (1..=LONGEST_NAME).contains(&name.chars().count()) => Ok(Some(name.clone())),
        Some(_) => {
            let text = format!("must be a string of 1 to {LONGEST_NAME} characters");
            Err(ApiError::invalid(INVALID, vec![field_problem("name", text)]))
        }
    }
}

/// A time to send at, which must be ahead, and at most 30 days.
fn later(given: Option<&Value>, field: &str, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, ApiError> {
    let wrong = |problem| ApiError::invalid("invalid_send_at", vec![problem]);
    let at = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(given) => parse_timestamp(field, given.as_str().unwrap_or_default()).map_err(wrong)?,
    };
    if at <= now {
        return Err(wrong(field_problem(field, "is in the past")));
    }
    if at > now + job::LATEST {
        return Err(wrong(field_problem(field, "must be at most 30 days ahead")));
    }
    Ok(Some(at))
}

fn items(fields: &Map<String, Value>) -> Result<Vec<JobItem>, ApiError> {
    let Some(Value::Array(messages)) = fields.get("messages") else {
        return Err(ApiError::bad_request("invalid_messages", "Messages must be an array"));
    };
    if messages.is_empty() {
        return Err(ApiError::bad_request("no_messages", "Messages array cannot be empty"));
    }
    if messages.len() > job::MOST_ITEMS {
        let text = format!("Too many messages. Maximum {} messages per job", job::MOST_ITEMS);
        return Err(ApiError::bad_request("too_many_messages", text));
    }
    messages.iter().enumerate().map(|(index, message)| item(index, message)).collect()
}

/// A text as `send-bulk` takes it, or any other send by its command's name, whose arguments the gateway checks.
fn item(index: usize, message: &Value) -> Result<JobItem, ApiError> {
    let Some(Value::String(name)) = message.get("command") else {
        let text = send_bulk::item(index, message)?.message;
        let arguments = serde_json::to_value(text).unwrap_or_default();
        return Ok(JobItem { command: Command::SendText.as_str().to_owned(), arguments });
    };
    let command = name.parse::<Command>().ok().filter(|command| command.is_send()).ok_or_else(|| {
        let all: Vec<_> = Command::ALL.iter().filter(|command| command.is_send()).map(|c| c.as_str()).collect();
        let text = format!("Message at index {index}: command must be one of {}", all.join(", "));
        ApiError::bad_request(INVALID, text)
    })?;
    let mut arguments = message.as_object().cloned().unwrap_or_default();
    arguments.remove("command");
    arguments.insert("to".to_owned(), json!(parse_recipient(arguments.get("to"))?));
    // Each message has a key of the job's.
    arguments.remove("idempotencyKey");
    Ok(JobItem { command: command.as_str().to_owned(), arguments: arguments.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_time_to_send_is_ahead_and_has_an_offset() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let at = |at: Value| later(Some(&at), "sendAt", now);
        assert_eq!(at(json!("2026-11-24T19:00:01+07:00")), Ok(Some(datetime!(2026-11-24 12:00:01 UTC))));
        assert_eq!(at(Value::Null), Ok(None));
        for (wrong, told) in [
            (json!("2026-11-24T12:00:00Z"), "sendAt is in the past"),
            (json!("2026-12-24T12:00:01Z"), "sendAt must be at most 30 days ahead"),
            (json!("2026-11-24T13:00:00"), "sendAt must be a time in ISO 8601, as 2026-11-24T13:00:00Z"),
            (json!(7), "sendAt must be a time in ISO 8601, as 2026-11-24T13:00:00Z"),
        ] {
            let failure = at(wrong).expect_err("refused");
            assert_eq!((failure.status.as_u16(), failure.message.as_ref()), (400, told));
        }
    }

    #[test]
    fn a_message_is_a_text_or_a_send_by_name() {
        let text = item(0, &json!({"to": "6281230000001", "message": " hi "})).expect("a text");
        assert_eq!((text.command.as_str(), &text.arguments["text"]), ("send-text", &json!("hi")));
        let place = json!({"command": "send-location", "to": "+62 812-3000-0001", "latitude": 1.0, "longitude": 2.0});
        let place = item(0, &place).expect("a place");
        assert_eq!(place.command, "send-location");
        assert_eq!(place.arguments["to"], "6281230000001@s.whatsapp.net");
        for (wrong, code) in [
            (json!({"to": "6281230000001"}), "incomplete_message"),
            (json!({"command": "status", "to": "6281230000001"}), "invalid_job"),
            (json!({"command": "send-location"}), "missing_recipient"),
        ] {
            let failure = item(3, &wrong).expect_err("refused");
            assert_eq!(failure.code, crate::response::ErrorCode::Name(code), "{wrong}");
        }
    }
}
