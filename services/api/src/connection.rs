//! One connection: requests are served in their order, within bounds on time and on the size of a head.
//!
//! It ends when the peer ends it, when a wait takes too long (`connection_phase`), when another one needs its place
//! (`connection_table`), or at a shutdown. An answer that is sent while the body is still coming reaches the peer.

use crate::{
    connection_phase::ConnectionPhase,
    connection_stream::{ConnectionStream, whole_answer},
    connection_table::ConnectionPlace,
    request_body::{RequestBody, Rest, read_on},
    tls,
};
use axum::{Router, body::Body};
use hyper::{
    Request, Response,
    body::{Frame, Incoming, SizeHint},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kurir_chassis::shutdown::CancellationToken;
use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower_http::normalize_path::NormalizePath;
use tower_service::Service as _;

/// What answers requests.
pub type Service = NormalizePath<Router>;

/// What ends connections from outside.
pub struct Ends {
    /// Takes no more requests; those that are served are answered.
    pub shutdown: CancellationToken,
    /// Closes at once.
    pub cut: CancellationToken,
}

/// The most bytes of a head.
const HEAD_BYTES: usize = 32 * 1024;
/// How often a connection looks whether a wait took too long.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For a connection that is told that there are too many.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
const RETRY_AFTER: &str = "retry-after: 5\r\n";

/// Serves a connection until it ends; with `tls`, after a handshake.
pub async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, place: ConnectionPlace, service: Service, ends: Ends) {
    // Answers are short, and none should wait for the next one. What cannot be set is a connection that has ended.
    let _ = stream.set_nodelay(true);
    let phase = Arc::new(ConnectionPhase::new(place, tls.is_some()));
    let Some(acceptor) = tls else { return serve_stream(stream, phase, service, ends).await };
    let secured = tokio::select! {
        biased;
        () = ends.cut.cancelled() => return,
        () = phase.evicted() => return,
        secured = tls::accept(acceptor, stream) => secured,
    };
    match secured {
        Ok(Some(stream)) => serve_stream(stream, phase, service, ends).await,
        Ok(None) => {}
        Err(error) => tracing::debug!("a TLS handshake failed: {error}"),
    }
}

async fn serve_stream<S>(stream: S, phase: Arc<ConnectionPhase>, service: Service, ends: Ends)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (dropped_bodies, mut bodies) = unbounded_channel();
    let answer = |request| answer(request, service.clone(), Arc::clone(&phase), dropped_bodies.clone());
    let stream = TokioIo::new(ConnectionStream::new(stream, Arc::clone(&phase)));
    let mut builder = http1::Builder::new();
    // The phase knows the time.
    builder.header_read_timeout(None).max_buf_size(HEAD_BYTES).max_header_size(HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(stream, service_fn(answer)));
    let mut reading_on = pin!(read_on_all(&mut bodies, &phase));
    let mut look = pin!(sleep_until(Instant::now() + LOOK_EVERY));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            () = ends.cut.cancelled() => return,
            () = phase.evicted() => return,
            () = ends.shutdown.cancelled(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!("a connection ended: {error}");
                }
                return;
            }
            () = &mut reading_on => return,
            () = &mut look => {
                if phase.is_overdue() {
                    return;
                }
                look.as_mut().reset(Instant::now() + LOOK_EVERY);
            }
        }
    }
}

/// Tells a caller that there are too many.
pub async fn refuse(stream: TcpStream) {
    let message = "There are too many connections. Try again later.";
    answer_and_close(
        stream,
        &whole_answer("HTTP/1.1 503 Service Unavailable", RETRY_AFTER, "too_many_connections", message),
    )
    .await;
}

/// Answers before any request was read. What the caller has written is read, or it would see a reset instead of the answer.
pub async fn answer_and_close(mut stream: TcpStream, answer: &[u8]) {
    let told = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut thrown_away = [0; 4096];
        while stream.read(&mut thrown_away).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A caller that does not listen need not be told.
    let _ = timeout(REFUSED_WITHIN, told).await;
}

/// The bodies of a connection come one after the other.
async fn read_on_all(bodies: &mut UnboundedReceiver<Incoming>, phase: &ConnectionPhase) {
    while let Some(body) = bodies.recv().await {
        if let Some(_turn) = phase.begin_reading_on() {
            read_on(body).await;
            phase.end_reading_on();
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    mut service: Service,
    phase: Arc<ConnectionPhase>,
    dropped_bodies: UnboundedSender<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    phase.begin_request();
    let (mut head, incoming) = request.into_parts();
    head.extensions.insert(Arc::clone(&phase));
    let (body, progress) = RequestBody::new(&head.headers, incoming, dropped_bodies);
    // Dropped with the request if its caller goes away.
    let request_phase = RequestPhase(phase);
    // A router is always ready.
    let mut response = service.call(Request::from_parts(head, Body::new(body))).await?;
    if progress.rest() == Rest::Left {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| AnswerBody { body, _phase: request_phase }))
}

/// Ends the request in the phase when it is dropped.
struct RequestPhase(Arc<ConnectionPhase>);

impl Drop for RequestPhase {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// The body of an answer; the request lasts until its last byte is handed over.
pub struct AnswerBody {
    body: Body,
    _phase: RequestPhase,
}

impl hyper::body::Body for AnswerBody {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
