//! The bytes that all requests together hold in memory, and the bounds on one body.
//!
//! A body is read here as a whole, before its route: what is too large is refused by its `Content-Length` and never asked
//! for, and what does not fit beside the others is answered 503. Files stream; they take a fixed part of the budget.

use crate::{app_state::AppState, body_encoding, error_code::ErrorCode, response::ApiError};
use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::BytesMut;
use futures::StreamExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// As the old program had it (`10mb`), packed and unpacked.
const LARGEST_BODY: usize = 10 << 20;
/// A body that does not say how long it is takes its part in these steps.
const STEP: usize = 1 << 20;
/// The largest file that may come as base64 in JSON, which is whole in memory; a larger one comes as a form or by its URL.
const LARGEST_BASE64: u64 = 64 << 20;
/// What a body says besides a file in base64.
const BESIDES_FILE: u64 = 1 << 20;
/// Every body may take so long,
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);
/// longer as it comes: a line of half a megabit a second.
const LEAST_BYTES_A_SECOND: u64 = 64 * 1024;
/// What a file holds on its way: pieces of 128 kB, on each side of NATS' client and in between.
pub const STREAM_BYTES: usize = 512 * 1024;
/// The memory of one value of JSON, with its place in what holds it.
const VALUE_BYTES: usize = 64;
/// What needs no place in the budget.
const SHORT: usize = 8 * 1024;
/// When a request that found no room may find some.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The budget is counted in these.
const UNIT: usize = 1024;

#[derive(Clone)]
pub struct ByteBudget {
    free: Arc<Semaphore>,
    /// The whole, in units.
    units: u32,
}

/// A part of the budget, until it is dropped.
pub struct BudgetPart(Option<OwnedSemaphorePermit>);

impl ByteBudget {
    pub fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT as u64).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Takes a part for one request; no request takes more than the whole, and a short one takes nothing: the bound on
    /// connections is enough for it, so large bodies of other callers never keep it out.
    ///
    /// # Errors
    /// 503 if the others leave too little.
    pub fn take(&self, bytes: usize) -> Result<BudgetPart, ApiError> {
        if bytes <= SHORT {
            return Ok(BudgetPart(None));
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        let permit = Arc::clone(&self.free).try_acquire_many_owned(units).map_err(|_| too_busy())?;
        Ok(BudgetPart(Some(permit)))
    }

    fn add(&self, part: &mut BudgetPart, bytes: usize) -> Result<(), ApiError> {
        let more = self.take(bytes)?;
        match (&mut part.0, more.0) {
            (Some(part), Some(more)) => part.merge(more),
            (part, more) => *part = more.or_else(|| part.take()),
        }
        Ok(())
    }
}

/// For routes that take files: a form and a file's own bytes pass, and the route reads them.
pub async fn read_body_unless_file(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if is_form(&request) || is_bare_file(&request) {
        return next.run(request).await;
    }
    // Four characters of base64 are three bytes, and some clients write line breaks between.
    let file = app.uploads.most.bytes.min(LARGEST_BASE64);
    let largest = (file / 3 * 4 + file / 50 + BESIDES_FILE).max(LARGEST_BODY as u64);
    read_within(app, request, next, usize::try_from(largest).unwrap_or(LARGEST_BODY)).await
}

pub fn is_form(request: &Request) -> bool {
    content_type(request).starts_with("multipart/form-data")
}

/// Whether the body is the file itself: its type is a file's, or the URL says where it goes.
pub fn is_bare_file(request: &Request) -> bool {
    let content_type = content_type(request);
    let essence = content_type.split(';').next().unwrap_or_default().trim_end();
    let is_json = essence.ends_with("/json") || essence.ends_with("+json");
    let is_named = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("to=")));
    match essence {
        _ if is_json || is_form(request) => false,
        _ => is_named || ["image/", "audio/", "video/"].iter().any(|kind| essence.starts_with(kind)),
    }
}

fn content_type(request: &Request) -> String {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.unwrap_or_default().trim_start().to_ascii_lowercase()
}

/// Reads the body for the route behind it, within all bounds.
pub async fn read_body(State(app): State<AppState>, request: Request, next: Next) -> Response {
    read_within(app, request, next, LARGEST_BODY).await
}

async fn read_within(app: AppState, request: Request, next: Next, largest: usize) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let read = async {
        let (bytes, mut part) = collect(&app.byte_budget, body, largest).await?;
        let bytes = unpack_body(&app.byte_budget, &mut part, &head.headers, bytes, largest)?;
        Ok::<_, ApiError>((bytes, part))
    };
    match read.await {
        Ok((bytes, _part)) => next.run(Request::from_parts(head, Body::from(bytes.freeze()))).await,
        Err(failure) => failure.into_response(),
    }
}

async fn collect(budget: &ByteBudget, body: Body, largest: usize) -> Result<(BytesMut, BudgetPart), ApiError> {
    let length = body.size_hint().lower() as usize;
    if length > largest {
        return Err(too_large(largest));
    }
    let (mut part, mut bytes) = (budget.take(length)?, BytesMut::with_capacity(length));
    let mut taken = length.max(SHORT);
    let mut chunks = body.into_data_stream();
    let begun = Instant::now();
    loop {
        let deadline = begun + ARRIVES_WITHIN + Duration::from_secs(bytes.len() as u64 / LEAST_BYTES_A_SECOND);
        let chunk = timeout_at(deadline, chunks.next())
            .await
            .map_err(|_| ApiError::new(ErrorCode::BodyTimeout, "Request body did not arrive within 30 s"))?;
        let Some(chunk) = chunk else { return Ok((bytes, part)) };
        let chunk = chunk.map_err(|_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early"))?;
        if bytes.len() + chunk.len() > largest {
            return Err(too_large(largest));
        }
        bytes.extend_from_slice(&chunk);
        // A body in chunks does not say how long it is.
        while bytes.len() > taken {
            budget.add(&mut part, STEP)?;
            taken += STEP;
        }
    }
}

/// The body as its sender meant it, without `Content-Encoding`; `part` grows by what reading it will take.
fn unpack_body(
    budget: &ByteBudget,
    part: &mut BudgetPart,
    headers: &HeaderMap,
    mut bytes: BytesMut,
    largest: usize,
) -> Result<BytesMut, ApiError> {
    if let Some(encoding) = body_encoding::read_encoding(headers)? {
        // What a packed body becomes is not known before, so it takes the most at once.
        budget.add(part, largest)?;
        let unpacked = body_encoding::unpack(encoding, &bytes, largest)?;
        bytes = BytesMut::from(unpacked.ok_or_else(|| too_large(largest))?.as_slice());
    }
    // A short text can hold many values: `[0,0,…]` takes 16 times its length.
    let values = bytes.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{' | b'&')).count();
    budget.add(part, values * VALUE_BYTES)?;
    Ok(bytes)
}

fn too_large(largest: usize) -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, format!("Request body is larger than {} MB", largest >> 20))
}

fn too_busy() -> ApiError {
    let message = "Too many bytes of other requests are being worked on; nothing was done. Try again later.";
    ApiError { retry_after: Some(RETRY_AFTER), ..ApiError::new(ErrorCode::TooBusy, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back_and_never_exceeded() {
        let budget = ByteBudget::new(1 << 20);
        let mut part = budget.take(1 << 19).expect("half of it");
        budget.add(&mut part, 1 << 18).expect("a quarter");
        assert!(budget.take((1 << 18) + 1).is_err());
        drop(part);
        let whole = budget.take(usize::MAX).expect("what is larger than the whole takes the whole");
        assert!(budget.take(SHORT + 1).is_err());
        assert!(budget.take(SHORT).is_ok(), "a short one has its place always");
        drop(whole);
        assert!(budget.take(1 << 20).is_ok());
    }

    #[tokio::test]
    async fn many_values_take_more_than_their_text() {
        let budget = ByteBudget::new(1 << 20);
        let array = format!("[{}]", "0,".repeat(10_000));
        let (bytes, mut part) = collect(&budget, Body::from(array), LARGEST_BODY)
            .await
            .map_err(|failure| failure.message)
            .expect("it fits");
        unpack_body(&budget, &mut part, &HeaderMap::new(), bytes, LARGEST_BODY)
            .map_err(|failure| failure.message)
            .expect("it fits");
        assert!(budget.take(500_000).is_err());
        drop(part);
    }
}
