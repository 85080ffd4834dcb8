//! The bytes that all requests together hold in memory, and the bounds on one body.
//!
//! A body is read here as a whole, before its route: what is too large is refused by its `Content-Length` and never asked
//! for, and what does not fit beside the others is answered 503. Files stream; they take a fixed part of the budget.

use crate::{app_state::AppState, error_code::ErrorCode, response::ApiError};
use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::header::CONTENT_TYPE,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::BytesMut;
use futures::StreamExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// As the old program had it (`1mb`). The longest message is 16 kB, and NATS takes 1 MB by default.
const LARGEST_BODY: usize = 1 << 20;
/// A body within the limit takes 10 s on a line of 1 Mbit/s.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);
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

/// For routes that take forms: a form passes, and its route reads it.
pub async fn read_body_unless_form(state: State<AppState>, request: Request, next: Next) -> Response {
    if is_form(&request) { next.run(request).await } else { read_body(state, request, next).await }
}

pub fn is_form(request: &Request) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
}

/// Reads the body for the route behind it, within all bounds.
pub async fn read_body(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match timeout(ARRIVES_WITHIN, collect(&app.byte_budget, body)).await {
        Ok(Ok((bytes, _part))) => next.run(Request::from_parts(head, Body::from(bytes.freeze()))).await,
        Ok(Err(failure)) => failure.into_response(),
        Err(_) => ApiError::new(ErrorCode::BodyTimeout, "Request body did not arrive within 30 s").into_response(),
    }
}

async fn collect(budget: &ByteBudget, body: Body) -> Result<(BytesMut, BudgetPart), ApiError> {
    let length = body.size_hint().lower() as usize;
    if length > LARGEST_BODY {
        return Err(too_large());
    }
    let (mut part, mut bytes) = (budget.take(length)?, BytesMut::with_capacity(length));
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early"))?;
        if bytes.len() + chunk.len() > LARGEST_BODY {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
        // A body in chunks does not say how long it is.
        if length == 0 && bytes.len() > SHORT && part.0.is_none() {
            part = budget.take(LARGEST_BODY)?;
        }
    }
    // A short text can hold many values: `[0,0,…]` takes 16 times its length.
    let values = bytes.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
    budget.add(&mut part, values * VALUE_BYTES)?;
    Ok((bytes, part))
}

fn too_large() -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, "Request body is larger than 1 MB")
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
        let (_, part) = collect(&budget, Body::from(array)).await.map_err(|failure| failure.message).expect("it fits");
        assert!(budget.take(500_000).is_err());
        drop(part);
    }
}
