//! The fields and the file of a request, in whatever order they come: as a form (`multipart/form-data`), the file in the
//! field `media`; or as JSON, the file as `base64` or as the name of a received `file`.

use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::read_json_object,
    fields::{FieldValue as _, Recipient},
    response::ApiError,
    uploads::{StoredFile, stalled},
};
use axum::{
    body::Body,
    extract::{FromRequest as _, Multipart, Request, multipart::Field, multipart::MultipartError},
    http::header::CONTENT_TYPE,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What a request says, and the file that it brought.
pub struct UploadRequest {
    pub fields: Map<String, Value>,
    pub file: Option<StoredFile>,
}

/// The largest file that WhatsApp takes comes in this time over a line of 20 Mbit/s.
const ARRIVES_WITHIN: Duration = Duration::from_secs(900);
/// More than the longest caption.
const LONGEST_FIELD: usize = 32 * 1024;
/// There are ten.
const MOST_FIELDS: usize = 32;
/// What is read and thrown away after a refusal: a client that is still writing would see its connection reset instead
/// of the answer.
const DISCARDED: usize = 64 * 1024 * 1024;
/// And how long.
const DISCARDED_WITHIN: Duration = Duration::from_secs(10);

/// # Errors
/// If it cannot be read, or its file cannot be kept; no file stays behind then.
pub async fn take(app: &AppState, request: Request<Body>) -> Result<UploadRequest, ApiError> {
    if !is_form(&request) {
        return from_json(app, request).await;
    }
    let mut form = Multipart::from_request(request, &()).await.map_err(|rejection| {
        ApiError::new(ErrorCode::InvalidMultipart, format!("Request body is no form: {}", rejection.body_text()))
    })?;
    let mut given = UploadRequest { fields: Map::new(), file: None };
    match from_form(app, &mut form, &mut given).await {
        Ok(()) => Ok(given),
        Err(failure) => {
            if let Some(kept) = given.file {
                app.uploads.forget(&kept.file).await;
            }
            // Who says nothing any more has nothing to be thrown away.
            if failure.code != ErrorCode::BodyTimeout {
                discard(&mut form).await;
            }
            Err(failure)
        }
    }
}

fn is_form(request: &Request<Body>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
}

async fn from_form(app: &AppState, form: &mut Multipart, given: &mut UploadRequest) -> Result<(), ApiError> {
    let deadline = Instant::now() + ARRIVES_WITHIN;
    for _ in 0..MOST_FIELDS {
        let field = timeout_at(deadline, form.next_field()).await.map_err(|_| stalled())?;
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
                let text = text(field, deadline).await?;
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

async fn text(mut field: Field<'_>, deadline: Instant) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = timeout_at(deadline, field.chunk()).await.map_err(|_| stalled())?.map_err(unreadable)? {
        if text.len() + chunk.len() > LONGEST_FIELD {
            return Err(invalid("A field of the form is longer than 32 kB"));
        }
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).map_err(|_| invalid("A field of the form is no UTF-8 text"))
}

async fn discard(form: &mut Multipart) {
    let rest = async {
        let mut length = 0;
        while let Ok(Some(mut field)) = form.next_field().await {
            while let Ok(Some(chunk)) = field.chunk().await {
                length += chunk.len();
                if length > DISCARDED {
                    return;
                }
            }
        }
    };
    // What is longer, or slower, is cut off.
    let _ = tokio::time::timeout(DISCARDED_WITHIN, rest).await;
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
            Some(app.uploads.keep(chunks, Instant::now() + ARRIVES_WITHIN).await?)
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
