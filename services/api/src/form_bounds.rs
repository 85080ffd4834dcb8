//! The bounds on a form (`multipart/form-data`) while it arrives: heads of parts, silence, time in all.
//!
//! The reader of forms takes all that is there before it looks at any of it, and keeps it until a head is complete; so
//! the bounds stand before it, in the stream of its bytes.

use crate::{error_code::ErrorCode, response::ApiError};
use axum::{
    BoxError,
    body::{Body, BodyDataStream},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};

/// What comes until a part's head is complete. A head takes 200 bytes; but the reader may take two pieces of 32 kB before
/// it looks at the first.
const LARGEST_HEAD: usize = 64 * 1024;
/// The least that a piece counts: the reader searches all that is there at each piece.
const LEAST_PIECE: usize = 64;
/// A sender that says nothing for this long is gone.
pub const SILENT_AT_MOST: Duration = Duration::from_secs(20);
/// Every form may take so long,
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
/// longer if it may hold a large file: a line of half a megabit a second,
const LEAST_BYTES_A_SECOND: u64 = 64 * 1024;
/// and never longer than this: 2 GB over 20 Mbit/s.
const LONGEST: Duration = Duration::from_secs(900);

/// What is left of the bounds of one form.
#[derive(Clone)]
pub struct FormBounds(Arc<Mutex<Inner>>);

struct Inner {
    deadline: Instant,
    /// What may still come before the head that is being read is complete; none: no head is being read.
    head_left: Option<usize>,
    broken: Option<ApiError>,
}

impl FormBounds {
    /// For a form with a file of at most `largest` bytes, from now on.
    pub fn new(largest: u64) -> Self {
        let within = ARRIVES_WITHIN.saturating_add(Duration::from_secs(largest / LEAST_BYTES_A_SECOND));
        let deadline = Instant::now() + within.min(LONGEST);
        Self(Arc::new(Mutex::new(Inner { deadline, head_left: None, broken: None })))
    }

    pub fn deadline(&self) -> Instant {
        self.inner().deadline
    }

    /// What comes now is a part's head.
    pub fn begin_head(&self) {
        self.inner().head_left = Some(LARGEST_HEAD);
    }

    pub fn end_head(&self) {
        self.inner().head_left = None;
    }

    /// The bound that was broken, if one was.
    pub fn broken(&self) -> Option<ApiError> {
        self.inner().broken.clone()
    }

    /// The same body within the bounds; it fails at the first that is broken.
    pub fn around(&self, body: Body) -> Body {
        Body::from_stream(bounded(self.clone(), body.into_data_stream()))
    }

    fn check_head(&self) -> Result<(), ApiError> {
        if self.inner().head_left == Some(0) {
            let text = "A part of the form has a head of more than 64 kB, or too much stands before the first part";
            return Err(ApiError::new(ErrorCode::InvalidMultipart, text));
        }
        Ok(())
    }

    fn count(&self, bytes: usize) {
        let head_left = &mut self.inner().head_left;
        *head_left = head_left.map(|left| left.saturating_sub(bytes));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bounded(bounds: FormBounds, body: BodyDataStream) -> impl Stream<Item = Result<Bytes, BoxError>> {
    stream::unfold((bounds, body), |(bounds, mut body)| async move {
        // One piece at a time: the reader looks at it before it gets the next.
        yield_now().await;
        let until = bounds.deadline().min(Instant::now() + SILENT_AT_MOST);
        let next = async {
            bounds.check_head()?;
            timeout_at(until, body.next()).await.map_err(|_| stalled())
        };
        let piece = match next.await {
            Ok(None) => return None,
            Ok(Some(Ok(piece))) => {
                bounds.count(piece.len().max(LEAST_PIECE));
                Ok(piece)
            }
            Ok(Some(Err(error))) => Err(error.into()),
            Err(failure) => {
                let error = failure.message.clone().into();
                bounds.inner().broken = Some(failure);
                Err(error)
            }
        };
        Some((piece, (bounds, body)))
    })
}

pub fn stalled() -> ApiError {
    ApiError::new(ErrorCode::BodyTimeout, "The file did not arrive in time: nothing came for 20 s")
}
