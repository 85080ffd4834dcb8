//! One HTTP/1 connection: it sends requests and reads their answers, one after the other.
//!
//! It is written for this purpose, because a client library gives up an answer for its form, and does not say whether a
//! byte of it had come. It has no task of its own: handing a request to one and its answer back costs a tenth of a
//! delivery. Only the rest of a costly answer gets one. Who takes an idle connection asks whether it was closed.

use crate::delivery::{
    current_phase::CurrentPhase,
    http_client::{
        dialer::{ByteStream, DialedConnection},
        failure::{SendFailure, classify_io},
        http1_body::{BodyProgress, BodyReader},
        http1_head::{AnswerHead, head_length, parse_head},
        work_meter::WorkMeter,
    },
    outcome::{FailureClass, FailurePhase},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header::HOST};
use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// Less than the 5 s after which Node.js closes an idle connection: a request that meets the closing would be sent twice.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// The bytes of an answer's head, with all interim answers before it.
const MAX_HEAD: usize = 64 * 1024;
/// Interim answers (1xx) before the answer. A server sends one or two.
const MAX_INTERIM: usize = 32;
/// How long the body of an answer that is no success is read: it is only for the record.
pub const REFUSAL_BODY_WAIT: Duration = Duration::from_secs(1);
/// After a request could not be written whole, an answer that the receiver gave early is awaited this long.
const EARLY_ANSWER_WAIT: Duration = Duration::from_secs(1);
const READ_SIZE: usize = 8 * 1024;
/// A body up to this size is sent in one packet with its head.
const SMALL_BODY: usize = 16 * 1024;

/// An answer, read as far as it is wanted.
pub struct RawAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// An answer with the connection, if it can be used again.
type SendResult = Result<(RawAnswer, Option<Http1Connection>), SendFailure>;

/// A connection. It is closed when this is dropped.
pub struct Http1Connection {
    stream: Box<dyn ByteStream>,
    pub meter: Arc<WorkMeter>,
    pub generation: u64,
    /// Bytes that were read and not used.
    buffer: BytesMut,
    /// Whether an answer has come on this connection: then the receiver may just be closing it.
    is_reused: bool,
}

impl Http1Connection {
    #[must_use]
    pub fn new(dialed: DialedConnection) -> Self {
        let DialedConnection { stream, meter, generation, .. } = dialed;
        Self { stream, meter, generation, buffer: BytesMut::new(), is_reused: false }
    }

    /// Whether the other side has closed the connection, or sent what nobody asked for.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let mut part = ReadBuf::uninit(&mut byte);
        Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut part).is_ready()
    }

    /// Sends a request. With the answer comes the connection, if it can be used again. If the future is dropped, the
    /// connection is closed.
    ///
    /// An answer that costs more than others is read on by a task of its own: who calls this may hold the deliveries to
    /// many receivers.
    pub async fn send(self, head: Vec<u8>, body: Bytes, phase: Arc<CurrentPhase>) -> SendResult {
        let meter = Arc::clone(&self.meter);
        meter.refill();
        let mut exchange = Box::pin(self.send_here(head, body, phase));
        let here = poll_fn(|cx| match exchange.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if meter.is_costly() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match here.await {
            Some(result) => result,
            None => match AbortOnDropHandle::new(tokio::spawn(exchange)).await {
                Ok(result) => result,
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // Only the end of the process ends the task.
                Err(_) => std::future::pending().await,
            },
        }
    }

    async fn send_here(mut self, mut head: Vec<u8>, mut body: Bytes, phase: Arc<CurrentPhase>) -> SendResult {
        if body.len() <= SMALL_BODY {
            head.extend_from_slice(&std::mem::take(&mut body));
        }
        let (answer, stays_open) = self.exchange(&head, &body, &phase).await?;
        self.is_reused = true;
        Ok((answer, stays_open.then_some(self)))
    }

    /// The answer, and whether the connection can be used again.
    async fn exchange(
        &mut self,
        head: &[u8],
        body: &[u8],
        phase: &CurrentPhase,
    ) -> Result<(RawAnswer, bool), SendFailure> {
        phase.set(FailurePhase::Send);
        let mut outgoing = Outgoing { parts: [head, body], written: 0, is_done: false, error: None };
        let answer = self.await_head(&mut outgoing, phase).await?;
        phase.set(FailurePhase::ResponseBody);
        let AnswerHead { status, headers, framing, keeps_open } = answer;
        let mut reader = BodyReader::new(framing);
        let refusal_until = (!status.is_success()).then(|| Instant::now() + REFUSAL_BODY_WAIT);
        let is_complete = loop {
            match reader.read(&mut self.buffer) {
                BodyProgress::Complete => break true,
                BodyProgress::Abandoned => break false,
                BodyProgress::NeedsMore => {}
            }
            let more = match refusal_until {
                None => self.read_more(&mut outgoing, phase).await,
                // The receiver has refused the event. Its reasons are worth a moment, and however they end, it has.
                Some(until) => match timeout_at(until, self.read_more(&mut outgoing, phase)).await {
                    Ok(Ok(1..)) => continue,
                    Ok(_) | Err(_) => break false,
                },
            };
            match more {
                Ok(0) if reader.is_complete_at_close() => break false,
                Ok(0) => return Err(broken_body("the connection was closed before the answer was complete")),
                Ok(_) => {}
                // Too much work: the receiver has answered, and the status decides.
                Err(error) if classify_io(&error) == FailureClass::Invalid => break false,
                Err(error) => return Err(broken_body(&error.to_string())),
            }
        };
        let stays_open = is_complete && keeps_open && outgoing.is_done && self.buffer.is_empty();
        Ok((RawAnswer { status, headers, body: reader.body.into_kept() }, stays_open))
    }

    /// Sends the request and reads the head of the answer, at the same time: a receiver may answer early.
    async fn await_head(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        phase: &CurrentPhase,
    ) -> Result<AnswerHead, SendFailure> {
        let (mut scanned, mut read, mut interim) = (0, 0, 0);
        loop {
            if let Some(length) = head_length(&self.buffer, scanned) {
                let head = self.buffer.split_to(length);
                scanned = 0;
                match parse_head(&head) {
                    Ok(head) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {
                        interim += 1;
                    }
                    Ok(head) => return Ok(head),
                    Err(error) => return Err(invalid(&error.to_string())),
                }
                if interim > MAX_INTERIM {
                    return Err(invalid("the receiver sent interim answers without end"));
                }
                continue;
            }
            // The last bytes may be the start of an empty line.
            scanned = self.buffer.len().saturating_sub(2);
            if read > MAX_HEAD {
                return Err(invalid("the head of the answer is longer than 64 kB"));
            }
            let more = if outgoing.error.is_some() {
                let nothing = || Err(io::ErrorKind::ConnectionReset.into());
                timeout(EARLY_ANSWER_WAIT, self.read_more(outgoing, phase)).await.unwrap_or_else(|_| nothing())
            } else {
                self.read_more(outgoing, phase).await
            };
            match more {
                Ok(0) if read == 0 => return Err(self.no_answer(phase, "the connection was closed without an answer")),
                Ok(0) if !self.buffer.starts_with(b"HTTP/") => return Err(invalid("the answer is not HTTP")),
                Ok(0) => {
                    let message = "the connection was closed within the head of the answer";
                    return Err(SendFailure::seen(FailureClass::Reset, phase.get(), message));
                }
                Ok(count) => read += count,
                Err(error) if classify_io(&error) == FailureClass::Invalid => return Err(invalid(&error.to_string())),
                Err(error) if read == 0 => {
                    let error = outgoing.error.take().unwrap_or(error);
                    return Err(self.no_answer(phase, &error.to_string()));
                }
                Err(error) => {
                    return Err(SendFailure::seen(classify_io(&error), phase.get(), &error.to_string()));
                }
            }
        }
    }

    /// The connection broke before a byte of the answer. If it was used before, the receiver was closing it.
    fn no_answer(&self, phase: &CurrentPhase, message: &str) -> SendFailure {
        let failure = if self.is_reused { SendFailure::unseen } else { SendFailure::seen };
        failure(FailureClass::Reset, phase.get(), message)
    }

    /// Reads into the buffer while it writes what is left of the request. 0: the other side has closed the connection.
    async fn read_more(&mut self, outgoing: &mut Outgoing<'_>, phase: &CurrentPhase) -> io::Result<usize> {
        let Self { stream, buffer, .. } = self;
        poll_fn(|cx| {
            outgoing.poll(stream, cx, phase);
            poll_read(stream, buffer, cx)
        })
        .await
    }
}

/// Writes the head of a request. `target`: the path, or for a proxy the whole URL.
#[must_use]
pub fn request_head<B>(request: &Request<B>, target: &str, body_length: usize) -> Vec<u8> {
    let uri = request.uri();
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(request.method().as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    if !request.headers().contains_key(HOST) {
        line(b"host", uri.authority().map_or("", |authority| authority.as_str()).as_bytes());
    }
    for (name, value) in request.headers() {
        line(name.as_str().as_bytes(), value.as_bytes());
    }
    line(b"content-length", body_length.to_string().as_bytes());
    head.extend_from_slice(b"\r\n");
    head
}

fn poll_read(stream: &mut Box<dyn ByteStream>, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut bytes = [MaybeUninit::uninit(); READ_SIZE];
    let mut part = ReadBuf::uninit(&mut bytes);
    ready!(Pin::new(stream).poll_read(cx, &mut part))?;
    buffer.extend_from_slice(part.filled());
    Poll::Ready(Ok(part.filled().len()))
}

/// The request, as far as it is not written.
struct Outgoing<'a> {
    parts: [&'a [u8]; 2],
    written: usize,
    /// Whether all of it was handed to the system.
    is_done: bool,
    /// Writing has failed. An answer may have come all the same.
    error: Option<io::Error>,
}

impl Outgoing<'_> {
    fn poll(&mut self, stream: &mut Box<dyn ByteStream>, cx: &mut Context<'_>, phase: &CurrentPhase) {
        while !self.is_done && self.error.is_none() {
            match self.poll_step(Pin::new(stream), cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => self.error = Some(error),
                Poll::Ready(Ok(true)) => {
                    self.is_done = true;
                    if phase.get() == FailurePhase::Send {
                        phase.set(FailurePhase::ResponseHead);
                    }
                }
                Poll::Ready(Ok(false)) => {}
            }
        }
    }

    /// True when all is written.
    fn poll_step(&mut self, mut stream: Pin<&mut Box<dyn ByteStream>>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let [head, body] = self.parts;
        let left = if self.written < head.len() { &head[self.written..] } else { &body[self.written - head.len()..] };
        if left.is_empty() {
            ready!(stream.as_mut().poll_flush(cx))?;
            return Poll::Ready(Ok(true));
        }
        let written = ready!(stream.as_mut().poll_write(cx, left))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += written;
        Poll::Ready(Ok(false))
    }
}

fn invalid(message: &str) -> SendFailure {
    SendFailure::seen(FailureClass::Invalid, FailurePhase::ResponseHead, message)
}

fn broken_body(message: &str) -> SendFailure {
    SendFailure::seen(FailureClass::Reset, FailurePhase::ResponseBody, message)
}
