//! Sessions on the move: `POST …/adopt` takes over that of a program that uses Baileys, `GET …/export` gives out a stopped
//! one, `POST /api/sessions/import` takes it in again, here or elsewhere.
//!
//! Keys lie in the broker only sealed with a passphrase, which travels in the request to the gateway and is stored nowhere.

use super::{publish_change, session_input::NewSessionId, session_view::SessionView, wait_until_taken};
use crate::{
    app_state::AppState,
    byte_budget::STREAM_BYTES,
    command_error::gateway_error,
    command_request::CommandFailure,
    error_code::ErrorCode,
    extract::{PassphraseHeader, QueryParams, SessionPath},
    fields::{Field, FieldErrors},
    form_bounds::FormBounds,
    response::{ApiError, CreatedResponse, DataResponse, JsonResult, data_response},
    uploads::{StoredFile, too_large},
};
use aide::{
    OperationInput, OperationOutput,
    generate::GenContext,
    openapi::{
        MediaType, Operation, ReferenceOr, RequestBody, Response as ResponseDoc, SchemaObject, StatusCode as StatusDoc,
    },
};
use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, FromRequestParts, Request, State},
    http::{
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use kurir_chassis::{
    objects::{ObjectError, ObjectReader},
    sealed_file::SealingWriter,
    session_archive::{ArchiveManifest, read_manifest},
};
use kurir_contract::{
    clock,
    command::{AdoptKeys, Command, CommandError, CommandErrorCode, FileToSend, KeySource, KeysAdopted, spec},
    event::EventType,
    media::MEDIA_TO_SEND_BUCKET,
    session::SessionId,
    session_record::{DesiredState, SessionRecord},
};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    fs::File,
    io::{BufReader, Write as _},
};

/// The body as it comes.
pub struct FileBody(Body);

/// Says that the body is a file: before anything else is looked at.
pub struct FileType;

/// The types of a file, and what `curl --data-binary` says of it.
const FILE_TYPES: [&str; 5] =
    ["", "application/octet-stream", "application/x-tar", "application/tar", "application/x-www-form-urlencoded"];

/// What was taken over.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedSession {
    id: SessionId,
    /// The account's address.
    jid: String,
    /// What could not be read, and whose keys are made again.
    left_out: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct ImportQuery {
    /// The id here; without it, the one that the session had.
    id: Option<Field<NewSessionId>>,
}

/// A sealed session.
pub struct SealedSession {
    session: SessionId,
    object: ObjectReader,
    app: AppState,
    file: FileToSend,
}

pub async fn adopt_session(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    _: FileType,
    FileBody(body): FileBody,
) -> JsonResult<DataResponse<AdoptedSession>> {
    app.session_store.get(&session).await?;
    let passphrase = hex::encode(rand::random::<[u8; 32]>());
    let stored = keep(&app, body, Some(passphrase.clone())).await?;
    let adopted = adopt(&app, &session, &stored, (passphrase, KeySource::BaileysFolder)).await;
    app.uploads.forget(&stored.file).await;
    let KeysAdopted { jid, left_out } = adopted?;
    tracing::info!(session.id = %session, "the session {session} was taken over from another program");
    Ok(data_response(AdoptedSession { id: session, jid: jid.to_string(), left_out }))
}

pub async fn import_session(
    State(app): State<AppState>,
    _: FileType,
    PassphraseHeader(passphrase): PassphraseHeader,
    QueryParams(query): QueryParams<ImportQuery>,
    FileBody(body): FileBody,
) -> Result<CreatedResponse<DataResponse<SessionView>>, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let id = errors.take_optional("id", query.id);
    errors.finish(|| Some(()))?;
    let stored = keep(&app, body, None).await?;
    let imported = import(&app, &stored, passphrase, id.map(|NewSessionId(id)| id)).await;
    app.uploads.forget(&stored.file).await;
    let (id, record) = imported?;
    let info = wait_until_taken(&app, &id).await;
    let location = format!("/api/sessions/{id}");
    Ok(CreatedResponse { location, body: data_response(SessionView::new(id, record, info)) })
}

pub async fn export_session(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    PassphraseHeader(passphrase): PassphraseHeader,
) -> Result<SealedSession, ApiError> {
    let record = app.session_store.get(&session).await?;
    if record.desired != DesiredState::Stopped {
        let text = format!("Stop the session {session} first: its keys change while it runs");
        return Err(ApiError::new(ErrorCode::Conflict, text));
    }
    let exported = app.gateway.export_keys(&session, passphrase).await;
    let object = exported.map_err(|failure| match failure {
        CommandFailure::NobodyThere | CommandFailure::NoAnswer => {
            let text = format!("No gateway that has the keys of the session {session} is running");
            ApiError::new(ErrorCode::GatewayUnavailable, text)
        }
        failure => gateway_error(failure, Command::AdoptKeys, &session),
    })?;
    let file = FileToSend { object, received: false, size: None, sha256: None };
    let object = app.broker.open_object(MEDIA_TO_SEND_BUCKET, &file.object).await.map_err(|error| {
        tracing::warn!("an exported session cannot be read: {error}");
        ApiError::broker_unavailable()
    })?;
    tracing::warn!(session.id = %session, "the keys of the session {session} were handed out, sealed");
    Ok(SealedSession { session, object, app, file })
}

/// Keeps the body in the broker while it arrives, sealed with the passphrase if there is one.
async fn keep(app: &AppState, body: Body, passphrase: Option<String>) -> Result<StoredFile, ApiError> {
    let most = &app.uploads.most;
    if body.size_hint().lower() > most.bytes {
        return Err(too_large(most));
    }
    let _part = app.byte_budget.take(STREAM_BYTES)?;
    let deadline = FormBounds::new(most.bytes).deadline();
    let incomplete = |_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early");
    let chunks = body.into_data_stream().map(move |chunk| chunk.map_err(incomplete));
    match passphrase {
        None => app.uploads.keep(chunks, deadline).await,
        Some(passphrase) => {
            let begun = tokio::task::spawn_blocking(move || SealingWriter::new(&passphrase, Vec::new())).await;
            let writer = begun.map_err(|_| ApiError::internal())?.map_err(|error| unsealed(&error))?;
            app.uploads.keep(seal(chunks, writer), deadline).await
        }
    }
}

/// The sealed form of what comes.
fn seal(
    chunks: impl Stream<Item = Result<Bytes, ApiError>> + Unpin,
    writer: SealingWriter<Vec<u8>>,
) -> impl Stream<Item = Result<Bytes, ApiError>> {
    stream::try_unfold(Some((chunks, writer)), |state| async move {
        let Some((mut chunks, mut writer)) = state else { return Ok(None) };
        match chunks.next().await {
            Some(chunk) => {
                writer.write_all(&chunk?).map_err(|error| unsealed(&error))?;
                let sealed = std::mem::take(writer.get_mut());
                Ok(Some((Bytes::from(sealed), Some((chunks, writer)))))
            }
            None => {
                let sealed = writer.finish().map_err(|error| unsealed(&error))?;
                Ok(Some((Bytes::from(sealed), None)))
            }
        }
    })
}

fn unsealed(error: &std::io::Error) -> ApiError {
    tracing::error!("a file was not sealed: {error}");
    ApiError::internal()
}

/// Lets the gateway that holds the session take the keys.
async fn adopt(
    app: &AppState,
    session: &SessionId,
    stored: &StoredFile,
    (passphrase, source): (String, KeySource),
) -> Result<KeysAdopted, ApiError> {
    let request = AdoptKeys { object: stored.file.object.clone(), passphrase, source };
    app.gateway.ask(session, spec::AdoptKeys, &request).await.map_err(|failure| match failure {
        CommandFailure::Refused(CommandError { code: CommandErrorCode::InvalidRequest, message, .. }) => {
            ApiError::new(ErrorCode::InvalidSessionFile, message)
        }
        failure => gateway_error(failure, Command::AdoptKeys, session),
    })
}

/// Makes the session as it was set up, and gives it its keys. What is refused leaves no session behind.
async fn import(
    app: &AppState,
    stored: &StoredFile,
    passphrase: String,
    id: Option<SessionId>,
) -> Result<(SessionId, SessionRecord), ApiError> {
    let manifest = open_manifest(app, stored, passphrase.clone()).await?;
    let id = id.unwrap_or(manifest.session);
    let is_default = id == SessionId::default();
    let now = clock::now_iso();
    let record = SessionRecord {
        name: manifest.name,
        metadata: manifest.metadata,
        settings: manifest.settings,
        created_at: now.clone(),
        updated_at: now,
        awaits_keys: true,
        ..SessionRecord::default()
    };
    if is_default {
        // It is always there.
        if app.gateway.status(&id).await.is_ok_and(|status| status.jid.is_some()) {
            let text = "The session default is paired already: log it out first, or import under another id";
            return Err(ApiError::new(ErrorCode::Conflict, text));
        }
        let change = |before: SessionRecord| {
            let SessionRecord { name, metadata, settings, .. } = record.clone();
            Ok(SessionRecord { name, metadata, settings, desired: DesiredState::Running, ..before })
        };
        app.session_store.change(&id, change).await?;
    } else {
        app.session_store.create(&id, &record).await?;
        publish_change(app, EventType::SESSION_CREATED, &id, &record).await?;
    }
    wait_until_taken(app, &id).await;
    match adopt(app, &id, stored, (passphrase, KeySource::Export)).await {
        Ok(_) => {
            tracing::info!(session.id = %id, "the session {id} was imported");
            let keys_came = |before| Ok(SessionRecord { awaits_keys: false, ..before });
            // If this fails, the session waits for keys only if it loses those that it has.
            let record = app.session_store.change(&id, keys_came).await.unwrap_or(record);
            Ok((id, record))
        }
        Err(refusal) => {
            if !is_default {
                let deleted = |before| Ok(SessionRecord { desired: DesiredState::Deleted, ..before });
                let record = app.session_store.change(&id, deleted).await?;
                publish_change(app, EventType::SESSION_DELETED, &id, &record).await?;
            }
            Err(refusal)
        }
    }
}

/// Reads how the session was set up, and so whether the passphrase is right.
async fn open_manifest(app: &AppState, stored: &StoredFile, passphrase: String) -> Result<ArchiveManifest, ApiError> {
    let unwritten = |error: std::io::Error| {
        tracing::error!("a session that is imported was not looked into: {error}");
        ApiError::internal()
    };
    let sealed = tempfile::NamedTempFile::new().map_err(unwritten)?;
    app.uploads.write_to(&stored.file, sealed.path()).await?;
    let read = tokio::task::spawn_blocking(move || {
        let file = BufReader::new(File::open(sealed.path())?);
        read_manifest(&passphrase, file)
    });
    let manifest = read.await.map_err(|_| ApiError::internal())?;
    manifest.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
            ApiError::new(ErrorCode::InvalidSessionFile, format!("The file cannot be opened: {error}"))
        }
        _ => unwritten(error),
    })
}

impl IntoResponse for SealedSession {
    fn into_response(self) -> Response {
        let Self { session, object, app, file } = self;
        let headers = [
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"kurir-session-{session}.sealed\"")),
            (CONTENT_LENGTH, object.size.to_string()),
            (CACHE_CONTROL, "no-store".to_owned()),
        ];
        let chunks = stream::try_unfold((object, app, file), |(mut object, app, file)| async move {
            match object.next_chunk().await? {
                Some(chunk) => Ok::<_, ObjectError>(Some((chunk, (object, app, file)))),
                None => {
                    app.uploads.forget(&file).await;
                    Ok(None)
                }
            }
        });
        (headers, Body::from_stream(chunks)).into_response()
    }
}

impl OperationOutput for SealedSession {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusDoc>, ResponseDoc)> {
        let mut response = ResponseDoc { description: "The sealed session".to_owned(), ..ResponseDoc::default() };
        response.content.insert("application/octet-stream".to_owned(), MediaType::default());
        vec![(Some(StatusDoc::Code(200)), response)]
    }
}

impl<S: Sync> FromRequestParts<S> for FileType {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let given = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if FILE_TYPES.contains(&essence.as_str()) {
            return Ok(Self);
        }
        let text = "The body must be the file itself: send it with Content-Type: application/octet-stream";
        Err(ApiError::new(ErrorCode::UnsupportedMediaType, text))
    }
}

/// The document has it with the body.
impl OperationInput for FileType {}

impl<S: Sync> FromRequest<S> for FileBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request.into_body()))
    }
}

impl OperationInput for FileBody {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        let json_schema = json_schema!({"type": "string", "format": "binary"});
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let mut body = RequestBody { required: true, ..RequestBody::default() };
        let file = MediaType { schema: Some(schema), ..MediaType::default() };
        body.content.insert("application/octet-stream".to_owned(), file);
        operation.request_body = Some(ReferenceOr::Item(body));
    }
}
