//! `GET /api/events/stream`: events as they are stored, as server-sent events.
//!
//! Each has its sequence as its id, so a caller that comes back with `Last-Event-ID` misses none; the first line names
//! the place at which a caller without one begins. If EVENTS is a new stream since then, the caller begins at its start. A caller that takes nothing for 10 s is cut off, and can come back.
//! `frame` writes the lines, `place` reads and writes ids; both are pure.

mod frame;
mod place;

use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::QueryParams,
    fields::{CursorText, Field, FieldError, FieldErrors, FieldValue, Text, inline_schema},
    keys::{Caller, ENVIRONMENT_KEY},
    response::ApiError,
    routes::events::text_value,
    stream_place::ReadMessage,
};
use aide::{OperationInput, OperationOutput};
use anyhow::Context as _;
use async_nats::jetstream::{
    Message,
    consumer::{
        DeliverPolicy,
        pull::{Ordered, OrderedConfig},
    },
};
use axum::{
    body::Body,
    extract::{FromRequestParts, State},
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use frame::{event_frame, gap_frame, heartbeat_frame, is_in_chat, restart_frame};
use futures::StreamExt as _;
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::{
    clock,
    endpoint::{EventPattern, filter_subjects},
    session::SessionId,
    stream::EVENTS,
};
use place::{PresentStream, StreamPlace};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;
use std::{convert::Infallible, mem, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{interval, timeout},
};

/// Callers at the same time; each has a consumer in NATS.
const MOST_STREAMS: usize = 128;
/// Proxies close a connection that is silent for 30 s or more.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A caller that takes nothing for so long is cut off.
const TAKES_WITHIN: Duration = Duration::from_secs(10);
/// Frames that wait for the caller; each may have a megabyte.
const QUEUE: usize = 4;
/// Messages that NATS hands out at once.
const BATCH: i64 = 16;
/// The API promises its 503 within 5 s.
const OPENS_WITHIN: Duration = Duration::from_secs(4);
const MOST_TYPES: usize = 32;

/// The places of callers that follow events.
pub struct StreamSlots {
    free: Arc<Semaphore>,
    closed: CancellationToken,
}

impl Default for StreamSlots {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MOST_STREAMS)), closed: CancellationToken::new() }
    }
}

impl StreamSlots {
    /// Ends every stream: the service stops.
    pub fn close(&self) {
        self.closed.cancel();
    }
}

/// Which events a caller follows.
#[derive(Deserialize, JsonSchema)]
pub struct EventStreamQuery {
    /// Only events of this session.
    session: Option<Field<Text<1, 64>>>,
    /// Only events of these types, with commas between; `message.*`: of all types that begin so.
    #[serde(rename = "type")]
    types: Option<Field<EventTypes>>,
    /// Only events of this chat: its JID.
    chat: Option<Field<Text<1, 256>>>,
    /// The sequence after which to begin, as `Last-Event-ID`, which goes before; without both, it begins now.
    after: Option<Field<CursorText>>,
}

struct EventTypes(Vec<EventPattern>);

/// The header `Last-Event-ID`; none if it is missing or no place.
pub struct LastEventId(Option<StreamPlace>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let given = parts.headers.get("last-event-id").and_then(|given| given.to_str().ok());
        Ok(Self(given.and_then(StreamPlace::parse)))
    }
}

impl OperationInput for LastEventId {}

/// The events, until the caller goes away.
pub struct EventStreamResponse(Body);

impl IntoResponse for EventStreamResponse {
    fn into_response(self) -> Response {
        let unbuffered: (HeaderName, HeaderValue) =
            (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        let mut response = self.0.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(unbuffered.0, unbuffered.1);
        response
    }
}

impl OperationOutput for EventStreamResponse {
    type Inner = Self;
}

/// What one caller follows.
struct Subscription {
    caller: Caller,
    chat: Option<String>,
    filters: Vec<String>,
    after: Option<StreamPlace>,
    _slot: OwnedSemaphorePermit,
}

pub async fn follow_events(
    State(app): State<AppState>,
    caller: Caller,
    LastEventId(last): LastEventId,
    QueryParams(query): QueryParams<EventStreamQuery>,
) -> Result<EventStreamResponse, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let session = text_value(errors.take_optional("session", query.session));
    let types = errors.take_optional("type", query.types).map(|EventTypes(types)| types).unwrap_or_default();
    let chat = text_value(errors.take_optional("chat", query.chat));
    let after = errors.take_optional("after", query.after).and_then(|CursorText(after)| {
        let place = StreamPlace::parse(&after);
        if place.is_none() {
            errors.add("after", FieldError::predicate("must be the sequence of an event"));
        }
        place
    });
    let sessions = wanted_sessions(session.as_deref(), &caller);
    if sessions.is_none() {
        errors.add("session", FieldError::predicate("is no session that this key may see"));
    }
    let sessions = errors.finish(|| sessions)?;
    let too_many = || ApiError::new(ErrorCode::TooManyStreams, "Too many callers follow the events. Try again later.");
    let slot = Arc::clone(&app.stream_slots.free).try_acquire_owned().map_err(|_| too_many())?;
    let filters = filter_subjects(&sessions, &types);
    let subscription = Subscription { caller, chat, filters, after: last.or(after), _slot: slot };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (opened, has_opened) = tokio::sync::oneshot::channel();
    app.clone().spawn_tracked(async move {
        if let Err(error) = run(&app, subscription, &sender, opened).await {
            tracing::debug!("a stream of events ended: {error:#}");
        }
    });
    match timeout(OPENS_WITHIN, has_opened).await {
        Ok(Ok(())) => {
            let frames = futures::stream::unfold(receiver, async |mut receiver| {
                Some((Ok::<Bytes, Infallible>(receiver.recv().await?), receiver))
            });
            Ok(EventStreamResponse(Body::from_stream(frames)))
        }
        Ok(Err(_)) | Err(_) => Err(ApiError::broker_unavailable()),
    }
}

/// The sessions that are followed, empty for all; none if the caller may not see the one that it named.
fn wanted_sessions(named: Option<&str>, caller: &Caller) -> Option<Vec<SessionId>> {
    match named {
        Some(named) if caller.sees(named) => Some(vec![named.parse().ok()?]),
        Some(_) => None,
        None => Some(caller.sessions.clone()),
    }
}

/// Sends frames until the caller goes away, is too slow, or may not go on.
async fn run(
    app: &AppState,
    subscription: Subscription,
    sender: &mpsc::Sender<Bytes>,
    opened: tokio::sync::oneshot::Sender<()>,
) -> anyhow::Result<()> {
    let (mut seen, mut opened) = (subscription.after, Some(opened));
    let mut was_replaced = false;
    loop {
        anyhow::ensure!(app.broker.is_connected(), "no connection to NATS");
        let stream = app.broker.jetstream.get_stream(EVENTS).await.context("failed to open EVENTS")?;
        let present = PresentStream::of(stream.cached_info());
        let begin = if mem::take(&mut was_replaced) { present.begin_anew() } else { present.begin(seen) };
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: begin.last + 1 },
            filter_subjects: subscription.filters.clone(),
            max_batch: BATCH,
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.context("failed to create the consumer")?;
        let messages = consumer.messages().await.context("failed to read EVENTS")?;
        // A caller that has gone meanwhile is noticed at the first frame.
        if let Some(opened) = opened.take() {
            let _ = opened.send(());
        }
        send(sender, heartbeat_frame(begin.last, &present)).await?;
        if begin.is_other_stream {
            send(sender, restart_frame(begin.last)).await?;
        } else if begin.last + 1 < present.first_sequence {
            send(sender, gap_frame(begin.last + 1, present.first_sequence - 1)).await?;
        }
        let last = begin.last.max(present.first_sequence.saturating_sub(1));
        match follow_stream(app, &subscription, sender, &present, messages, last).await? {
            FollowEnd::Shutdown => return Ok(()),
            FollowEnd::Replaced => (seen, was_replaced) = (None, true),
        }
    }
}

/// Why a stream is not followed any more.
enum FollowEnd {
    /// This service stops, or the caller went away.
    Shutdown,
    /// EVENTS was deleted and made again, or restored from an older copy.
    Replaced,
}

async fn follow_stream(
    app: &AppState,
    subscription: &Subscription,
    sender: &mpsc::Sender<Bytes>,
    present: &PresentStream,
    mut messages: Ordered,
    mut last: u64,
) -> anyhow::Result<FollowEnd> {
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.reset();
    let mut read = None;
    loop {
        tokio::select! {
            biased;
            () = app.stream_slots.closed.cancelled() => return Ok(FollowEnd::Shutdown),
            () = sender.closed() => return Ok(FollowEnd::Shutdown),
            _ = heartbeat.tick() => {
                check_key(app, &subscription.caller)?;
                if is_replaced(app, present, read).await? {
                    return Ok(FollowEnd::Replaced);
                }
                send(sender, heartbeat_frame(last, present)).await?;
            }
            message = messages.next() => {
                let message = message.context("the consumer ended")??;
                check_key(app, &subscription.caller)?;
                let info = message.info().map_err(anyhow::Error::from_boxed)?;
                // The first message of a consumer: the client makes a new one after a break.
                if info.consumer_sequence == 1 && is_replaced(app, present, read).await? {
                    return Ok(FollowEnd::Replaced);
                }
                let (sequence, frame) = read_message(&message, subscription.chat.as_deref())?;
                last = sequence;
                read = Some(ReadMessage { sequence, stored_at: info.published });
                if let Some(frame) = frame {
                    send(sender, frame).await?;
                    heartbeat.reset();
                }
            }
        }
    }
}

/// Whether EVENTS is another stream now. The client's consumer finds its way into a new stream by itself, and would begin there
/// behind the sequence of the old one.
async fn is_replaced(app: &AppState, present: &PresentStream, read: Option<ReadMessage>) -> anyhow::Result<bool> {
    let stream = app.broker.jetstream.get_stream(EVENTS).await.context("failed to open EVENTS")?;
    if stream.cached_info().created != present.created {
        return Ok(true);
    }
    match read {
        Some(read) => Ok(!read.was_in(&stream).await?),
        // Before the first message, only the count tells.
        None => Ok(stream.cached_info().state.last_sequence < present.last_sequence),
    }
}

/// A key that was deleted, or is over, ends its streams too.
fn check_key(app: &AppState, caller: &Caller) -> anyhow::Result<()> {
    let is_valid = caller.key_id == ENVIRONMENT_KEY || app.keys.find_id(&caller.key_id, clock::now()).is_some();
    anyhow::ensure!(is_valid, "the key is not valid any more");
    Ok(())
}

/// The event's sequence, and its frame if it belongs to the chat.
fn read_message(message: &Message, chat: Option<&str>) -> anyhow::Result<(u64, Option<Bytes>)> {
    let info = message.info().map_err(anyhow::Error::from_boxed)?;
    if chat.is_some_and(|chat| !is_in_chat(&message.payload, chat)) {
        return Ok((info.stream_sequence, None));
    }
    let stored_at = clock::iso(info.published);
    Ok((info.stream_sequence, event_frame(info.stream_sequence, &stored_at, message)))
}

async fn send(sender: &mpsc::Sender<Bytes>, frame: Bytes) -> anyhow::Result<()> {
    timeout(TAKES_WITHIN, sender.send(frame)).await.context("the caller is too slow")?.context("the caller went away")
}

impl FieldValue for EventTypes {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let types: Option<Vec<EventPattern>> =
            given.as_str().and_then(|given| given.split(',').map(|one| one.trim().parse().ok()).collect());
        types.filter(|types| types.len() <= MOST_TYPES).map(Self).ok_or_else(|| {
            FieldError::predicate("must be types of events with commas between, as message.*,call.missed")
        })
    }
}

inline_schema!(EventTypes, |_| json_schema!({"type": "string", "examples": ["message.*,call.missed"]}));
