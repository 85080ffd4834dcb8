//! One HTTP/2 connection, which carries many requests at once.
//!
//! TCP does not say whether the other side still answers, so the connection asks: a ping goes out when nothing was heard
//! for a second while an answer is awaited. Without an answer to it the connection is given up, and its requests are sent
//! on another one. A connection on which a request timed out, was refused or met 421 takes no new requests.

use crate::delivery::{
    current_phase::CurrentPhase,
    http_client::{
        answer_body::AnswerBody,
        dialer::{ByteStream, DialedConnection},
        failure::{SendFailure, classify_io},
        http1::{IDLE_TIMEOUT, REFUSAL_BODY_WAIT, RawAnswer},
        work_meter::{TooMuchWork, WorkMeter},
    },
    outcome::{FailureClass, FailurePhase},
};
use bytes::Bytes;
use futures::FutureExt as _;
use h2::{
    Ping, PingPong, Reason, SendStream,
    client::{Connection, SendRequest},
};
use http::{HeaderMap, Request, StatusCode};
use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};

/// A head larger than this is refused; with the body of 64 KB it bounds the memory of a request.
const MAX_HEAD: u32 = 64 * 1024;
/// What all bodies of a connection may have sent before they are read.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Requests at once on a connection whose settings say nothing of it.
const MAX_STREAMS: usize = 256;
/// Silence after which a connection with requests under way is tested.
const PING_AFTER: Duration = Duration::from_secs(1);
/// How long the answer to a ping may take. Servers answer pings without asking their application.
const PONG_WAIT: Duration = Duration::from_secs(3);
/// How often a connection is looked at.
const WATCH_STEP: Duration = Duration::from_millis(500);
/// After a ping was answered, the next silence may last longer: servers close connections that ping all the time.
const NEXT_PING_AFTER: Duration = Duration::from_secs(10);

/// A connection. Requests hold it together with the pool.
pub struct Http2Connection {
    sender: SendRequest<Bytes>,
    state: Arc<ConnectionState>,
    pub generation: u64,
}

struct ConnectionState {
    meter: Arc<WorkMeter>,
    in_flight: AtomicUsize,
    answered: AtomicUsize,
    /// Whether the receiver's settings are known. Until then one request goes.
    is_settled: AtomicBool,
    /// No new requests. Those under way may end.
    is_retired: AtomicBool,
    /// Whether no ping was answered.
    is_silent: AtomicBool,
    /// Signalled when a request ends, when the settings come, and when the connection ends.
    changed: Arc<Notify>,
}

/// A place for one request. The connection is retired if the request does not end by itself.
pub struct StreamSlot {
    connection: Arc<Http2Connection>,
    has_ended: bool,
}

impl Http2Connection {
    /// `changed` is signalled when there may be room for a request, or none any more.
    ///
    /// # Errors
    /// If the connection breaks at once.
    pub async fn start(dialed: DialedConnection, changed: Arc<Notify>) -> Result<Self, h2::Error> {
        let DialedConnection { stream, meter, generation, .. } = dialed;
        let (sender, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .max_header_list_size(MAX_HEAD)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(MAX_STREAMS)
            .handshake::<_, Bytes>(stream)
            .await?;
        let state = Arc::new(ConnectionState {
            meter,
            in_flight: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            is_settled: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            changed,
        });
        let pings = connection.ping_pong();
        // It ends with its connection, and holds no event.
        tokio::spawn(run(connection, pings, Arc::clone(&state)));
        Ok(Self { sender, state, generation })
    }

    /// Whether it takes new requests.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.state.is_retired.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.state.is_settled.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn age(&self) -> Duration {
        self.state.meter.age()
    }

    pub fn retire(&self) {
        self.state.retire();
    }

    /// Takes a place for a request; none if the connection has no room for another one. The pool's lock is held, so no
    /// two callers take the same place.
    #[must_use]
    pub fn take_slot(self: &Arc<Self>) -> Option<StreamSlot> {
        let room = match self.is_settled() {
            true => self.sender.current_max_send_streams().min(MAX_STREAMS),
            false => 1,
        };
        if !self.is_usable() || self.state.in_flight.load(Ordering::Acquire) >= room {
            return None;
        }
        self.state.in_flight.fetch_add(1, Ordering::AcqRel);
        Some(StreamSlot { connection: Arc::clone(self), has_ended: false })
    }
}

impl ConnectionState {
    fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn settle(&self) {
        if !self.is_settled.swap(true, Ordering::AcqRel) {
            self.changed.notify_waiters();
        }
    }
}

impl StreamSlot {
    /// Sends a request and reads its answer.
    pub async fn send(mut self, request: &Request<Bytes>, phase: &CurrentPhase) -> Result<RawAnswer, SendFailure> {
        phase.set(FailurePhase::Send);
        let state = Arc::clone(&self.connection.state);
        state.meter.refill();
        let result = self.exchange(request, phase).await;
        match &result {
            Ok(answer) => {
                state.answered.fetch_add(1, Ordering::AcqRel);
                if answer.status == StatusCode::MISDIRECTED_REQUEST {
                    state.retire();
                }
            }
            Err(_) => state.retire(),
        }
        self.has_ended = true;
        result
    }

    async fn exchange(&self, request: &Request<Bytes>, phase: &CurrentPhase) -> Result<RawAnswer, SendFailure> {
        let state = &self.connection.state;
        let body = request.body().clone();
        let (answer, stream) = self
            .connection
            .sender
            .clone()
            .send_request(http2_request(request), body.is_empty())
            .map_err(|error| SendFailure { is_unseen: true, ..self.failure(&error, phase) })?;
        let mut answer = pin!(answer);
        let mut sending = pin!(send_body(stream, body, phase).fuse());
        let mut is_sent = false;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer,
                // An error of sending is an error of the answer, too; a receiver may also answer early and stop reading.
                () = &mut sending, if !is_sent => is_sent = true,
            }
        };
        let (head, mut body) = answer.map_err(|error| self.failure(&error, phase))?.into_parts();
        state.settle();
        phase.set(FailurePhase::ResponseBody);
        let mut kept = AnswerBody::default();
        let is_success = head.status.is_success();
        let until = Instant::now() + REFUSAL_BODY_WAIT;
        loop {
            // The reasons of a refusal are worth a moment.
            let next = if is_success { Ok(body.data().await) } else { timeout_at(until, body.data()).await };
            let Ok(Some(part)) = next else { break };
            let part = match part {
                Err(_) if !is_success => break,
                Ok(part) => part,
                // Too much work, or a stream that ended in bad form: the status decides.
                Err(error) if state.meter.is_spent() || error.is_library() => break,
                Err(error) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => break,
                Err(error) => {
                    return Err(SendFailure::seen(FailureClass::Reset, FailurePhase::ResponseBody, &error.to_string()));
                }
            };
            let _ = body.flow_control().release_capacity(part.len());
            if !(kept.begin_part() && kept.take(&part)) {
                break;
            }
        }
        Ok(RawAnswer { status: head.status, headers: head.headers, body: kept.into_kept() })
    }

    fn failure(&self, error: &h2::Error, phase: &CurrentPhase) -> SendFailure {
        let state = &self.connection.state;
        let message = match error.get_io() {
            _ if state.is_silent.load(Ordering::Acquire) => "the connection went silent".to_owned(),
            Some(io) if io.kind() == io::ErrorKind::BrokenPipe => {
                "the connection was closed without an answer".to_owned()
            }
            Some(io) => io.to_string(),
            None => error.to_string(),
        };
        if state.meter.is_spent() {
            let message = TooMuchWork.to_string();
            return SendFailure::seen(FailureClass::Invalid, FailurePhase::ResponseHead, &message);
        }
        // A stream after the last one that GOAWAY names, or one that was refused: RFC 9113, 6.8 and 8.7 say that the
        // receiver has done nothing with it.
        let is_refused = (error.is_go_away() && error.is_remote()) || error.reason() == Some(Reason::REFUSED_STREAM);
        if is_refused {
            return SendFailure::unseen(FailureClass::Reset, FailurePhase::Send, &message);
        }
        if let Some(io) = error.get_io() {
            let was_used = state.answered.load(Ordering::Acquire) > 0;
            let failure = if was_used { SendFailure::unseen } else { SendFailure::seen };
            return failure(classify_io(io), phase.get(), &message);
        }
        let class = if error.is_remote() { FailureClass::Reset } else { FailureClass::Invalid };
        SendFailure::seen(class, phase.get(), &message)
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let state = &self.connection.state;
        state.in_flight.fetch_sub(1, Ordering::AcqRel);
        // The attempt's time is over: who is silent once gets no more requests.
        if !self.has_ended {
            state.is_retired.store(true, Ordering::Release);
        }
        state.changed.notify_waiters();
    }
}

/// The request without headers of HTTP/1. What differs from request to request is not entered into the table of headers:
/// it would only grow.
fn http2_request(request: &Request<Bytes>) -> Request<()> {
    let mut new = Request::new(());
    *new.method_mut() = request.method().clone();
    *new.uri_mut() = request.uri().clone();
    let mut headers = HeaderMap::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        if *name == http::header::HOST {
            continue;
        }
        let mut value = value.clone();
        if name != http::header::CONTENT_TYPE && name != http::header::USER_AGENT {
            value.set_sensitive(true);
        }
        headers.append(name.clone(), value);
    }
    headers.insert(http::header::CONTENT_LENGTH, request.body().len().into());
    *new.headers_mut() = headers;
    new
}

/// Sends a body as fast as the receiver takes it. An error is the answer's error as well.
async fn send_body(mut stream: SendStream<Bytes>, mut body: Bytes, phase: &CurrentPhase) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(Ok(capacity)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        let part = body.split_to(capacity.min(body.len()));
        if stream.send_data(part, body.is_empty()).is_err() {
            return;
        }
    }
    if phase.get() == FailurePhase::Send {
        phase.set(FailurePhase::ResponseHead);
    }
}

/// Runs a connection until it ends, goes silent, or is not used any more.
async fn run(connection: Connection<Box<dyn ByteStream>, Bytes>, pings: Option<PingPong>, state: Arc<ConnectionState>) {
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!("an HTTP/2 connection to a webhook ended: {error}");
        },
        () = watch(pings, &state) => {}
    }
    state.retire();
}

/// Ends when the other side has gone silent, or when there was nothing to do for some time.
async fn watch(pings: Option<PingPong>, state: &ConnectionState) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    // The answer to the first ping comes after the settings.
    ask(&mut pings).await;
    state.settle();
    let mut answered: Option<Instant> = None;
    let mut idle = Duration::ZERO;
    loop {
        sleep(WATCH_STEP).await;
        if state.in_flight.load(Ordering::Acquire) == 0 {
            idle += WATCH_STEP;
            if idle >= IDLE_TIMEOUT || state.is_retired.load(Ordering::Acquire) {
                return;
            }
            continue;
        }
        idle = Duration::ZERO;
        let silence = state.meter.silence();
        // If nothing came since the last answer to a ping, the receiver is thinking.
        let is_thinking = answered.is_some_and(|at| at.elapsed() <= silence + WATCH_STEP);
        if silence < if is_thinking { NEXT_PING_AFTER } else { PING_AFTER } {
            continue;
        }
        if ask(&mut pings).await {
            answered = Some(Instant::now());
        } else if state.meter.silence() >= PONG_WAIT && state.answered.load(Ordering::Acquire) > 0 {
            // A connection on which nothing was ever answered has its first request's whole time.
            state.is_silent.store(true, Ordering::Release);
            return;
        }
    }
}

/// Whether a ping is answered in time.
async fn ask(pings: &mut PingPong) -> bool {
    let answered = async { pings.ping(Ping::opaque()).await.is_ok() };
    timeout(PONG_WAIT, answered).await.unwrap_or(false)
}
