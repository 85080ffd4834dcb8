//! The fields and the file of a request, in whatever order they come: as a form (`multipart/form-data`), the file in the
//! part `media`, `file` or `data`; as JSON, the file as `base64` or as the name of a received `file`; or the file itself as
//! the body, with the fields in the query.

use super::{
    base64_file::{DecodedFile, decode_file},
    part_head::PartHead,
};
use crate::{
    app_state::AppState,
    byte_budget::{STREAM_BYTES, is_bare_file, is_form},
    error_code::ErrorCode,
    extract::{insert_field, read_json_object},
    fields::{FieldValue as _, Recipient},
    form_bounds::FormBounds,
    remote_file::RemoteFile,
    response::ApiError,
    uploads::{StoredFile, too_large},
};
use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest as _, Multipart, Query, Request, multipart::Field, multipart::MultipartError},
    http::{
        HeaderMap, HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::Instant;

/// What a request says, and the file that it brought.
pub struct UploadRequest {
    pub fields: Map<String, Value>,
    pub file: Option<StoredFile>,
}

/// A file in JSON has arrived when it is looked at; NATS takes it in this time.
const STORED_WITHIN: Duration = Duration::from_secs(60);
/// What a form holds besides its file: all of its fields, as long as they may be.
const FIELDS_BYTES: u64 = 1 << 20;
/// A boundary has at most 70 characters; all that comes is searched for it.
const LONGEST_CONTENT_TYPE: usize = 256;
/// More than the longest caption.
const LONGEST_FIELD: usize = 32 * 1024;
/// There are ten.
const MOST_FIELDS: usize = 32;
/// The parts that hold the file, whether they name it or not.
const FILE_PARTS: [&str; 3] = ["media", "file", "data"];
/// The fields that name the file in JSON.
const FILE_FIELDS: [&str; 5] = ["base64", "url", "file", "media", "data"];
/// A file that comes as a data URI in a form is whole in memory; a larger one comes as itself.
const LARGEST_DATA_URI: usize = 16 << 20;

/// # Errors
/// If it cannot be read, or its file cannot be kept; no file stays behind then.
pub async fn take(app: &AppState, request: Request<Body>) -> Result<UploadRequest, ApiError> {
    if is_bare_file(&request) {
        return from_bare_file(app, request).await;
    }
    if !is_form(&request) {
        return from_json(app, request).await;
    }
    check_length(app, request.body())?;
    let content_type = request.headers().get(CONTENT_TYPE).map_or(0, HeaderValue::len);
    if content_type > LONGEST_CONTENT_TYPE {
        return Err(invalid("The boundary of the form is too long"));
    }
    let _part = app.byte_budget.take(STREAM_BYTES)?;
    let bounds = FormBounds::new(app.uploads.most.bytes);
    let request = request.map(|body| bounds.around(body));
    let mut form = Multipart::from_request(request, &()).await.map_err(|rejection| {
        ApiError::new(ErrorCode::InvalidMultipart, format!("Request body is no form: {}", rejection.body_text()))
    })?;
    let mut given = UploadRequest { fields: Map::new(), file: None };
    match from_form(app, &mut form, &bounds, &mut given).await {
        Ok(()) => Ok(given),
        Err(failure) => {
            if let Some(kept) = given.file {
                app.uploads.forget(&kept.file).await;
            }
            Err(bounds.broken().unwrap_or(failure))
        }
    }
}

/// What is refused for its length is never asked for.
fn check_length(app: &AppState, body: &Body) -> Result<(), ApiError> {
    let is_too_large = body.size_hint().lower() > app.uploads.most.bytes.saturating_add(FIELDS_BYTES);
    if is_too_large { Err(too_large(&app.uploads.most)) } else { Ok(()) }
}

async fn from_form(
    app: &AppState,
    form: &mut Multipart,
    bounds: &FormBounds,
    given: &mut UploadRequest,
) -> Result<(), ApiError> {
    let deadline = bounds.deadline();
    for _ in 0..MOST_FIELDS {
        bounds.begin_head();
        let field = form.next_field().await;
        bounds.end_head();
        let Some(field) = field.map_err(unreadable)? else { return take_url(app, given).await };
        let head = field.headers().get(CONTENT_DISPOSITION).map_or(&b""[..], HeaderValue::as_bytes);
        let head = PartHead::parse(head);
        if FILE_PARTS.contains(&head.name.as_str()) {
            if given.file.is_some() {
                return Err(invalid("A message has one file, in the field media"));
            }
            // It need not arrive for nothing.
            if let Some(to) = given.fields.get("to") {
                check_recipient(Some(to))?;
            }
            given.file = file(app, field, head, deadline).await?;
        } else if head.file_name.is_some() && !is_text(&field) {
            return Err(invalid("The file belongs into the field media"));
        } else {
            let text = text(field).await?;
            insert_field(&mut given.fields, &head.name, Value::String(text))?;
        }
    }
    Err(invalid("The form has too many fields"))
}

/// The file of a form whose field `url` says where it is.
async fn take_url(app: &AppState, given: &mut UploadRequest) -> Result<(), ApiError> {
    match given.fields.remove("url") {
        Some(Value::String(url)) if !url.trim().is_empty() => {
            if given.file.is_some() {
                return Err(invalid_file());
            }
            check_recipient(given.fields.get("to"))?;
            given.file = Some(fetch(app, &url).await?);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Some clients send a field as a part with a file name, and say that it is text.
fn is_text(field: &Field<'_>) -> bool {
    field.content_type().is_some_and(|given| given.starts_with("text/plain") || given.starts_with("application/json"))
}

/// None if it has neither bytes nor a name: a form in a browser in which no file was chosen.
async fn file(
    app: &AppState,
    mut field: Field<'_>,
    head: PartHead,
    deadline: Instant,
) -> Result<Option<StoredFile>, ApiError> {
    let mimetype = field.content_type().map(str::to_owned).filter(|text| !text.is_empty());
    let first = field.chunk().await.map_err(unreadable)?.unwrap_or_default();
    if first.is_empty() && head.file_name.is_none() {
        return Ok(None);
    }
    if head.file_name.is_none() && first.starts_with(b"data:") {
        let mut text = BytesMut::from(&first[..]);
        while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
            if text.len() + chunk.len() > LARGEST_DATA_URI {
                return Err(invalid("A data URI in a form has at most 16 MB"));
            }
            text.extend_from_slice(&chunk);
        }
        let _part = app.byte_budget.take(2 * text.len())?;
        return keep_decoded(app, decode_file(&String::from_utf8_lossy(&text))?).await.map(Some);
    }
    let chunks = stream::iter([Ok(first)]).chain(field.map(|chunk| chunk.map_err(unreadable)));
    let kept = app.uploads.keep(chunks, deadline).await?;
    Ok(Some(StoredFile { mimetype, name: head.file_name, ..kept }))
}

async fn text(mut field: Field<'_>) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        if text.len() + chunk.len() > LONGEST_FIELD {
            return Err(invalid("A field of the form is longer than 32 kB"));
        }
        text.extend_from_slice(&chunk);
    }
    // As Node.js reads it.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn from_json(app: &AppState, request: Request<Body>) -> Result<UploadRequest, ApiError> {
    take_from_fields(app, read_json_object(request).await?).await
}

/// Takes the file that the fields name.
///
/// # Errors
/// If it cannot be kept.
pub async fn take_from_fields(app: &AppState, mut fields: Map<String, Value>) -> Result<UploadRequest, ApiError> {
    // Before the file, which need not be kept for nothing.
    check_recipient(fields.get("to"))?;
    let file = match take_file_name(&mut fields)? {
        None => None,
        Some(FileName::Url(url)) => Some(fetch(app, &url).await?),
        Some(FileName::Received(name)) => Some(app.uploads.received(&name).await?),
        Some(FileName::Base64(text)) => {
            let _part = app.byte_budget.take(text.len())?;
            Some(keep_decoded(app, decode_file(&text)?).await?)
        }
    };
    Ok(UploadRequest { fields, file })
}

/// How a request in JSON names its file.
enum FileName {
    Url(String),
    /// The name of a received file.
    Received(String),
    /// Base64, or a data URI.
    Base64(String),
}

/// Takes the one field that names the file; none if there is none.
fn take_file_name(fields: &mut Map<String, Value>) -> Result<Option<FileName>, ApiError> {
    let mut named = Vec::new();
    for name in FILE_FIELDS {
        match fields.remove(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.trim().is_empty() => {}
            Some(Value::String(text)) => named.push((name, text)),
            Some(_) => return Err(invalid_file()),
        }
    }
    let Some((name, text)) = named.pop() else { return Ok(None) };
    if !named.is_empty() {
        return Err(invalid_file());
    }
    let begins =
        |scheme: &str| text.trim_start().get(..scheme.len()).is_some_and(|one| one.eq_ignore_ascii_case(scheme));
    Ok(Some(match name {
        _ if begins("data:") => FileName::Base64(text),
        "url" => FileName::Url(text),
        "file" | "media" | "data" if begins("http://") || begins("https://") => FileName::Url(text),
        "file" => FileName::Received(text.trim().to_owned()),
        _ => FileName::Base64(text),
    }))
}

/// Keeps the file of a URL, while it arrives.
async fn fetch(app: &AppState, url: &str) -> Result<StoredFile, ApiError> {
    let _part = app.byte_budget.take(STREAM_BYTES)?;
    let remote = RemoteFile::open(url, &app.media_networks).await?;
    if remote.length.is_some_and(|length| length > app.uploads.most.bytes) {
        return Err(too_large(&app.uploads.most));
    }
    let head = remote.disposition.as_deref().map(PartHead::parse);
    let name = head.and_then(|head| head.file_name).or_else(|| remote.path_name.clone());
    let mimetype = remote.mimetype.clone();
    let deadline = FormBounds::new(app.uploads.most.bytes).deadline();
    let kept = app.uploads.keep(remote.into_chunks(), deadline).await?;
    Ok(StoredFile { mimetype, name, ..kept })
}

fn invalid_file() -> ApiError {
    let text = "The file is base64, url, or file with the name of a received one: one of them, as a string";
    ApiError::new(ErrorCode::InvalidFile, text)
}

async fn keep_decoded(app: &AppState, DecodedFile { bytes, mimetype }: DecodedFile) -> Result<StoredFile, ApiError> {
    let chunks = stream::iter([Ok(Bytes::from(bytes))]);
    let kept = app.uploads.keep(chunks, Instant::now() + STORED_WITHIN).await?;
    Ok(StoredFile { mimetype, ..kept })
}

/// The file is the body; the query has the fields.
async fn from_bare_file(app: &AppState, request: Request<Body>) -> Result<UploadRequest, ApiError> {
    let (head, body) = request.into_parts();
    let query = Query::<Vec<(String, String)>>::try_from_uri(&head.uri);
    let Query(pairs) =
        query.map_err(|_| ApiError::new(ErrorCode::InvalidQuery, "The query of the URL cannot be read"))?;
    let mut fields = Map::new();
    for (name, value) in pairs.into_iter().filter(|(name, _)| name != "api_key") {
        insert_field(&mut fields, &name, Value::String(value))?;
    }
    check_recipient(fields.get("to"))?;
    check_length(app, &body)?;
    let _part = app.byte_budget.take(STREAM_BYTES)?;
    let bounds = FormBounds::new(app.uploads.most.bytes);
    let deadline = bounds.deadline();
    let kept = app.uploads.keep(bare_chunks(bounds.around(body)), deadline).await;
    let kept = kept.map_err(|failure| bounds.broken().unwrap_or(failure))?;
    let (mimetype, name) = (bare_type(&head.headers), bare_name(&head.headers));
    Ok(UploadRequest { fields, file: Some(StoredFile { mimetype, name, ..kept }) })
}

fn bare_chunks(body: Body) -> impl Stream<Item = Result<Bytes, ApiError>> {
    let incomplete = |_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early");
    body.into_data_stream().map(move |chunk| chunk.map_err(incomplete))
}

/// None for the types that clients send by default.
fn bare_type(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(CONTENT_TYPE)?.to_str().ok()?.trim();
    (given != "application/x-www-form-urlencoded").then(|| given.to_owned())
}

fn bare_name(headers: &HeaderMap) -> Option<String> {
    PartHead::parse(headers.get(CONTENT_DISPOSITION)?.as_bytes()).file_name
}

fn check_recipient(to: Option<&Value>) -> Result<(), ApiError> {
    let to = Recipient::parse(to.unwrap_or(&Value::Null));
    to.map(drop).map_err(|error| error.into_api_error("to", ErrorCode::InvalidRecipient))
}

fn unreadable(error: MultipartError) -> ApiError {
    invalid(format!("The form cannot be read to its end: {}", error.body_text()))
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(ErrorCode::InvalidMultipart, text)
}
