//! `GET /media/{file}`: a received file out of the object store, whole or a range, piece by piece.
//!
//! No key: the name holds 128 random bits. A caller that knows it gets what a stranger sent, so a browser shows only types
//! that cannot run (`shown_types`), and saves all others.

use super::shown_types::shown_type;
use crate::{
    app_state::AppState,
    attachment_name::content_disposition,
    byte_budget::{BudgetPart, STREAM_BYTES},
    byte_range::RequestedRange,
    error_code::ErrorCode,
    extract::FileName,
    response::ApiError,
};
use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{Stream, stream};
use kurir_chassis::objects::{ObjectError, ObjectReader};
use kurir_contract::media::{MEDIA_BUCKET, MediaFile};
use std::ops::Range;

/// A file under a name never changes; a day, so that what has expired here is not shown elsewhere for long.
const CACHED: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");
/// Even if it is shown as a page: it must not load, run or send anything.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");

pub async fn show(
    State(app): State<AppState>,
    FileName(file): FileName,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // What is no name is no file either.
    let file: MediaFile = file.parse().map_err(|_| not_found())?;
    let part = app.byte_budget.take(STREAM_BYTES)?;
    let object = app.broker.open_object(MEDIA_BUCKET, file.as_str()).await.map_err(|error| match error {
        ObjectError::NotFound => not_found(),
        ObjectError::Unavailable(problem) => {
            tracing::warn!("a file could not be read: {problem}");
            ApiError::broker_unavailable()
        }
    })?;
    Ok(answer(&file, object, &headers, part))
}

fn not_found() -> ApiError {
    ApiError::new(
        ErrorCode::MediaNotFound,
        "There is no such file; received files are kept for MEDIA_MAX_AGE (30 days)",
    )
}

fn answer(file: &MediaFile, object: ObjectReader, asked: &HeaderMap, part: BudgetPart) -> Response {
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let tag = format!("\"{}\"", object.digest);
    let common = common(file, &object, &tag);
    if text(IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|one| matches(one, &tag))) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let size = object.size;
    let fits = text(IF_RANGE).is_none_or(|of| of == tag);
    match RequestedRange::parse(text(RANGE).filter(|_| fits), size) {
        RequestedRange::Whole => (StatusCode::OK, common, length(size), body(object, 0..size, part)).into_response(),
        RequestedRange::Part(wanted) => {
            let range = [(CONTENT_RANGE, format!("bytes {}-{}/{size}", wanted.start, wanted.end - 1))];
            let length = length(wanted.end - wanted.start);
            (StatusCode::PARTIAL_CONTENT, common, range, length, body(object, wanted, part)).into_response()
        }
        RequestedRange::Unsatisfiable => {
            let range = [(CONTENT_RANGE, format!("bytes */{size}"))];
            let why = format!("The file has {size} bytes: ask for a range within them");
            (range, ApiError::new(ErrorCode::RangeNotSatisfiable, why)).into_response()
        }
    }
}

fn common(file: &MediaFile, object: &ObjectReader, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (disposition, content_type) = match shown_type(&object.content_type) {
        Some(shown) => ("inline", shown),
        None => ("attachment", "application/octet-stream"),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let disposition = content_disposition(disposition, object.sender_name.as_deref().unwrap_or(file.as_str()));
    // A digest has only the characters of base64.
    for (name, value) in [(CONTENT_DISPOSITION, disposition), (ETAG, tag.to_owned())] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, CACHED);
    headers.insert(CONTENT_SECURITY_POLICY, SANDBOX);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

fn length(bytes: u64) -> [(HeaderName, HeaderValue); 1] {
    [(CONTENT_LENGTH, HeaderValue::from(bytes))]
}

fn matches(one: &str, tag: &str) -> bool {
    let one = one.trim();
    one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
}

/// The next piece is asked for when the last one is on its way, so a caller that goes away ends it. The part of the
/// budget lasts as long.
fn body(object: ObjectReader, wanted: Range<u64>, part: BudgetPart) -> Body {
    Body::from_stream(pieces(object, wanted, part))
}

fn pieces(
    object: ObjectReader,
    wanted: Range<u64>,
    part: BudgetPart,
) -> impl Stream<Item = Result<Bytes, ObjectError>> {
    let begin = (object, None, wanted, part);
    stream::try_unfold(begin, |(mut object, at, wanted, part)| async move {
        let mut at = match at {
            Some(at) => at,
            None => object.seek(wanted.start).await?,
        };
        while at < wanted.end {
            let Some(piece) = object.next_chunk().await? else { break };
            let (begins, ends) = (at, at + piece.len() as u64);
            at = ends;
            // Both are within the piece.
            let (from, to) = (wanted.start.clamp(begins, ends), wanted.end.clamp(begins, ends));
            if from < to {
                let cut = piece.slice((from - begins) as usize..(to - begins) as usize);
                return Ok(Some((cut, (object, Some(at), wanted, part))));
            }
        }
        Ok(None)
    })
}
