//! The fields and the file of a request, in whatever order they come: as a form (`multipart/form-data`), the file in the
//! field `media`; or as JSON, the file as `base64` or as the name of a received `file`.

use crate::{
    app_state::AppState,
    byte_budget::{STREAM_BYTES, is_form},
    error_code::ErrorCode,
    extract::read_json_object,
    fields::{FieldValue as _, Recipient},
    form_bounds::FormBounds,
    response::ApiError,
    uploads::{StoredFile, too_large},
};
use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest as _, Multipart, Request, multipart::Field, multipart::MultipartError},
    http::{HeaderValue, header::CONTENT_TYPE},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
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
/// # Errors
/// If it cannot be read, or its file cannot be kept; no file stays behind then.
pub async fn take(app: &AppState, request: Request<Body>) -> Result<UploadRequest, ApiError> {
    if !is_form(&request) {
        return from_json(app, request).await;
    }
    // What is refused so far is never asked for.
    if request.body().size_hint().lower() > app.uploads.most.bytes.saturating_add(FIELDS_BYTES) {
        return Err(too_large(&app.uploads.most));
    }
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
        let Some(field) = field.map_err(unreadable)? else { return Ok(()) };
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        match (name.as_str(), is_file) {
            ("media", true) if given.file.is_some() => {
                return Err(invalid("A message has one file, in the field media"));
            }
            ("media", true) => {
                // It need not arrive for nothing.
                if let Some(to) = given.fields.get("to") {
                    check_recipient(Some(to))?;
                }
                given.file = Some(file(app, field, deadline).await?);
            }
            (_, true) => return Err(invalid("The file belongs into the field media")),
            (_, false) => {
                let text = text(field).await?;
                given.fields.insert(name, Value::String(text));
            }
        }
    }
    Err(invalid("The form has too many fields"))
}

async fn file(app: &AppState, field: Field<'_>, deadline: Instant) -> Result<StoredFile, ApiError> {
    let given = |text: Option<&str>| text.map(str::to_owned).filter(|text| !text.is_empty());
    let (mimetype, name) = (given(field.content_type()), given(field.file_name()));
    let kept = app.uploads.keep(field.map(|chunk| chunk.map_err(unreadable)), deadline).await?;
    Ok(StoredFile { mimetype, name, ..kept })
}

async fn text(mut field: Field<'_>) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        if text.len() + chunk.len() > LONGEST_FIELD {
            return Err(invalid("A field of the form is longer than 32 kB"));
        }
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).map_err(|_| invalid("A field of the form is no UTF-8 text"))
}

async fn from_json(app: &AppState, request: Request<Body>) -> Result<UploadRequest, ApiError> {
    let mut fields = read_json_object(request).await?;
    // Before the file, which need not be kept for nothing.
    check_recipient(fields.get("to"))?;
    let file = match (fields.remove("base64"), fields.remove("file")) {
        (None | Some(Value::Null), None | Some(Value::Null)) => None,
        (Some(Value::String(base64)), None | Some(Value::Null)) => {
            let bytes = BASE64_STANDARD.decode(base64.trim());
            let bytes = bytes.map_err(|_| ApiError::new(ErrorCode::InvalidBase64, "base64 is not valid base64"))?;
            let chunks = stream::iter([Ok(Bytes::from(bytes))]);
            Some(app.uploads.keep(chunks, Instant::now() + STORED_WITHIN).await?)
        }
        (None | Some(Value::Null), Some(Value::String(name))) => Some(app.uploads.received(name.trim()).await?),
        _ => {
            let text = "The file is base64, or file with the name of a received one: one of them, as a string";
            return Err(ApiError::new(ErrorCode::InvalidFile, text));
        }
    };
    Ok(UploadRequest { fields, file })
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
