//! `/api/whatsapp/jobs`: messages that go out one after the other behind the answer, now or at their time.
//!
//! The gateway stores and sends them; these routes check a job, hand it over, show it and cancel it.

use super::{
    gateway_request::{ask_gateway, session_path},
    job_item::{PendingItem, read_job_item, send_commands},
    job_submission::{job_id, submit_job},
    media::prepare_job_file,
    message_completion::MessageCompletion,
    text_message::SendMessageRequest,
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, PathId, QueryParams, SessionPath},
    fields::{CursorText, Field, FieldError, FieldErrors, FieldValue, PageQuery, SendAt, Text, inline_schema},
    job_store,
    metrics::ApiCounter,
    response::{AcceptedResponse, ApiError, DataResponse, JsonResult, PageResponse, data_response, page_response},
};
use axum::extract::State;
use kurir_contract::{
    clock,
    command::spec,
    job::{self, ItemFailure, JobId, JobItem, JobRecord, JobReference, JobState, SendJob},
    session::SessionId,
};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Each file is kept before the job is taken, one after the other.
const MOST_FILES: usize = 100;

/// A job of 1 to 10,000 messages.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateJobRequest {
    /// For people.
    name: Option<Field<Text<1, 200>>>,
    messages: Field<JobMessages>,
    /// When the job begins: at most 30 days ahead; at once if it is missing.
    send_at: Option<Field<SendAt>>,
}

/// The sends of a job.
struct JobMessages(Vec<PendingItem>);

/// A job as callers see it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    id: JobId,
    name: Option<String>,
    session: SessionId,
    state: JobState,
    total: usize,
    sent: usize,
    failed: usize,
    /// ISO 8601.
    created_at: String,
    updated_at: String,
    /// As the caller asked for it.
    send_at: Option<String>,
    /// When the job goes on; null unless it waits.
    until: Option<String>,
    /// Why the job waits, or why it was given up; null otherwise.
    reason: Option<String>,
    /// The first 100.
    failures: Vec<ItemFailure>,
}

/// A job that was just taken, with the id of each of its messages.
#[derive(Serialize, JsonSchema)]
pub struct CreatedJobView {
    #[serde(flatten)]
    job: JobView,
    messages: Vec<JobMessageView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JobMessageView {
    /// Its place in the job, from 0: the order of the request, and of `sendAt` where messages have one.
    index: usize,
    to: Value,
    message_id: String,
    /// Its own time, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<String>,
}

impl From<JobRecord> for JobView {
    fn from(record: JobRecord) -> Self {
        let JobRecord { id, name, session, state, total, sent, failed, created_at, updated_at, send_at, .. } = record;
        let (until, reason, failures) = (record.until, record.reason, record.failures);
        Self { id, name, session, state, total, sent, failed, created_at, updated_at, send_at, until, reason, failures }
    }
}

pub async fn create_job(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<CreateJobRequest>,
) -> Result<AcceptedResponse<DataResponse<CreatedJobView>>, ApiError> {
    let now = clock::now();
    let mut errors = FieldErrors::new(ErrorCode::InvalidJob);
    let name = errors.take_optional("name", body.name).map(|Text(name)| name);
    let messages = errors.take("messages", body.messages);
    let send_at = errors.take_optional("sendAt", body.send_at).map(|SendAt(at)| clock::iso(at));
    let (JobMessages(pending), name) = errors.finish(|| Some((messages?, name)))?;
    let mut items = keep_files(&app, pending).await?;
    MessageCompletion::new(&app, &session).complete_items(&mut items).await;
    let job = SendJob { id: job_id(&session, key.as_ref()), name, created_at: clock::iso(now), send_at, items };
    let messages = (job.items.iter().enumerate())
        .map(|(index, item)| JobMessageView {
            index,
            to: item.arguments["to"].clone(),
            message_id: job.id.item_key(index).message_id(&session),
            send_at: item.send_at.clone(),
        })
        .collect();
    let record = submit_job(&app, &session, &job).await?;
    app.metrics.count(ApiCounter::BulkRequests, now);
    let location = session_path(&session, &format!("jobs/{}", job.id));
    Ok(AcceptedResponse { location, body: data_response(CreatedJobView { job: record.into(), messages }) })
}

/// Keeps the files that the messages name; if one cannot be kept, none stays.
async fn keep_files(app: &AppState, pending: Vec<PendingItem>) -> Result<Vec<JobItem>, ApiError> {
    let (mut items, mut kept) = (Vec::with_capacity(pending.len()), Vec::new());
    for (index, PendingItem { mut item, file }) in pending.into_iter().enumerate() {
        if let Some(fields) = file {
            match prepare_job_file(app, fields).await {
                Ok(media) => {
                    item.arguments = serde_json::to_value(&media).unwrap_or_default();
                    kept.push(media.file);
                }
                Err(error) => {
                    for file in &kept {
                        app.uploads.forget(file).await;
                    }
                    return Err(error.within(&format!("messages[{index}].")));
                }
            }
        }
        items.push(item);
    }
    Ok(items)
}

/// Which jobs a list shows.
#[derive(Deserialize, JsonSchema)]
pub struct ListJobsQuery {
    /// How many entries the page has at most.
    limit: Option<Field<crate::fields::PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only jobs in this state.
    state: Option<Field<JobStateFilter>>,
}

struct JobStateFilter(JobState);

impl FieldValue for JobStateFilter {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let state = JobState::ALL.into_iter().find(|state| given.as_str() == Some(state.as_str()));
        state.map(Self).ok_or_else(|| {
            let all: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
            FieldError::predicate(format!("must be one of {}", all.join(", ")))
        })
    }
}

inline_schema!(JobStateFilter, |_| {
    let all: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
    json_schema!({"type": "string", "enum": all})
});

/// The newest first.
pub async fn list_jobs(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    QueryParams(query): QueryParams<ListJobsQuery>,
) -> JsonResult<PageResponse<JobView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let (limit, after) = PageQuery { limit: query.limit, after: query.after }.read(&mut errors);
    let state = errors.take_optional("state", query.state).map(|JobStateFilter(state)| state);
    let after = after.and_then(|after| match after.split_once('_') {
        Some((created_at, id)) => Some((created_at.to_owned(), id.to_owned())),
        None => {
            errors.add("after", CursorText::invalid());
            None
        }
    });
    errors.finish(|| Some(()))?;
    let mut all = app.job_store.all(&session).await?;
    all.retain(|job| state.is_none_or(|state| job.state == state));
    // The newest come first, so that a page goes on with what is older than the last one.
    all.retain(|job| {
        after.as_ref().is_none_or(|(created_at, id)| (&job.created_at, job.id.as_str()) < (created_at, id.as_str()))
    });
    let has_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| has_more).map(|last| format!("{}_{}", last.created_at, last.id));
    Ok(page_response(all.into_iter().map(JobView::from).collect(), next))
}

pub async fn show_job(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<JobView>> {
    Ok(data_response(app.job_store.get(&session, &parse_job_id(id)?).await?.into()))
}

/// What was sent by then is sent.
pub async fn cancel_job(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
) -> JsonResult<DataResponse<JobView>> {
    let id = parse_job_id(id)?;
    app.job_store.get(&session, &id).await?;
    let record: JobRecord = ask_gateway(&app, &session, spec::CancelJob, &JobReference { id }).await?;
    Ok(data_response(record.into()))
}

/// What is no id is no job's either.
fn parse_job_id(PathId(id): PathId) -> Result<JobId, ApiError> {
    JobId::try_from(id).map_err(|_| job_store::not_found())
}

impl FieldValue for JobMessages {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let Value::Array(messages) = given else {
            return Err(FieldError::sentence(ErrorCode::InvalidMessages, "Messages must be an array"));
        };
        if messages.is_empty() {
            return Err(FieldError::sentence(ErrorCode::NoMessages, "Messages array cannot be empty"));
        }
        if messages.len() > job::MOST_ITEMS {
            let text = format!("Too many messages. Maximum {} messages per job", job::MOST_ITEMS);
            return Err(FieldError::sentence(ErrorCode::TooManyMessages, text));
        }
        let items = messages.iter().enumerate().map(|(index, message)| read_job_item(index, message));
        let mut items: Vec<PendingItem> = items.collect::<Result<_, _>>()?;
        // ISO 8601 in UTC sorts by time; what has no time of its own is sent first. Messages of one time keep their order.
        items.sort_by(|one, other| one.item.send_at.cmp(&other.item.send_at));
        if items.iter().filter(|item| item.file.is_some()).count() > MOST_FILES {
            let text = format!("Too many files. Maximum {MOST_FILES} files per job");
            return Err(FieldError::sentence(ErrorCode::TooManyMessages, text));
        }
        Ok(Self(items))
    }
}

inline_schema!(JobMessages, |generator| {
    let text = generator.subschema_for::<SendMessageRequest>();
    let other = json_schema!({
        "type": "object",
        "description": "Another send: the name of its command, and what its route takes.",
        "properties": {"command": {"type": "string", "enum": send_commands()}, "to": {"type": "string"}},
        "required": ["command", "to"],
    });
    json_schema!({"type": "array", "minItems": 1, "maxItems": job::MOST_ITEMS, "items": {"anyOf": [text, other]}})
});
