//! The body of a request, which knows whether somebody read it to its end.
//!
//! A body that its route drops is read on by the connection if its rest is short. What a client was asked not to send
//! (`Expect: 100-continue`), what is long, or of unknown length, is left; the connection ends after its answer then.

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    header::EXPECT,
};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedSender, time::timeout};

/// What is read on so that the connection can be used again.
const READ_ON_BYTES: u64 = 1 << 20;
/// And how long.
const READ_ON_FOR: Duration = Duration::from_secs(2);

pub struct RequestBody {
    /// There until the body is dropped.
    incoming: Option<Incoming>,
    progress: Arc<BodyProgress>,
    dropped: UnboundedSender<Incoming>,
}

/// How far a body was read.
pub struct BodyProgress {
    /// By `Content-Length`; none: it comes in chunks.
    length: Option<u64>,
    waits_to_be_asked: bool,
    was_asked: AtomicBool,
    read: AtomicU64,
    is_complete: AtomicBool,
}

/// What becomes of the rest of a body that nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    None,
    ReadOn,
    Left,
}

impl RequestBody {
    /// `dropped` gets the rest of a body that is to be read on.
    pub fn new(
        head: &hyper::HeaderMap,
        incoming: Incoming,
        dropped: UnboundedSender<Incoming>,
    ) -> (Self, Arc<BodyProgress>) {
        let progress = Arc::new(BodyProgress {
            length: incoming.size_hint().exact(),
            waits_to_be_asked: head.contains_key(EXPECT),
            was_asked: AtomicBool::new(false),
            read: AtomicU64::new(0),
            is_complete: AtomicBool::new(incoming.is_end_stream()),
        });
        (Self { incoming: Some(incoming), progress: Arc::clone(&progress), dropped }, progress)
    }
}

impl BodyProgress {
    pub fn rest(&self) -> Rest {
        if self.is_complete.load(Ordering::Relaxed) {
            return Rest::None;
        }
        if self.waits_to_be_asked && !self.was_asked.load(Ordering::Relaxed) {
            return Rest::Left;
        }
        match self.length.map(|length| length.saturating_sub(self.read.load(Ordering::Relaxed))) {
            Some(0) => Rest::None,
            Some(left) if left <= READ_ON_BYTES => Rest::ReadOn,
            Some(_) | None => Rest::Left,
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        this.progress.was_asked.store(true, Ordering::Relaxed);
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.progress.read.fetch_add(bytes, Ordering::Relaxed);
            }
            Some(Err(_)) | None => this.progress.is_complete.store(true, Ordering::Relaxed),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && self.progress.rest() == Rest::ReadOn
        {
            // Nobody takes it if the connection has ended, and then nothing of it comes.
            let _ = self.dropped.send(incoming);
        }
    }
}

/// Reads the rest of a body and throws it away.
pub async fn read_on(mut incoming: Incoming) {
    let rest = async {
        // Its length is known, so it ends.
        while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {}
    };
    // The connection of a body that does not come in time ends.
    let _ = timeout(READ_ON_FOR, rest).await;
}
