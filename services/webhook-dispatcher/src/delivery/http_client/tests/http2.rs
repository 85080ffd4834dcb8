//! HTTP/2 servers that end, refuse, go silent or send away.

use super::{tls_server::acceptor, *};
use futures::future::{BoxFuture, join_all};
use h2::{Reason, server};
use http::Response;
use kurir_test_harness::until;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};
use tokio_rustls::server::TlsStream;

type Handler = dyn Fn(usize, server::Connection<TlsStream<TcpStream>, Bytes>) -> BoxFuture<'static, ()> + Send + Sync;

/// A server whose connections a test handles itself; the number counts them from 0.
struct ScriptedServer {
    port: u16,
    authority: NamedTempFile,
    connections: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl ScriptedServer {
    async fn start(streams: u32, handle: Box<Handler>) -> Self {
        let (tls, authority) = acceptor("localhost", &["h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, handle) = (Arc::clone(&connections), Arc::<Handler>::from(handle));
        let serving = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(stream) = tls.accept(tcp).await else { continue };
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let handle = Arc::clone(&handle);
                tokio::spawn(async move {
                    let mut builder = server::Builder::new();
                    builder.max_concurrent_streams(streams);
                    if let Ok(connection) = builder.handshake(stream).await {
                        handle(number, connection).await;
                    }
                });
            }
        });
        Self { port, authority, connections, serving }
    }

    fn client(&self) -> HttpClient {
        self.client_at(self.port)
    }

    fn client_at(&self, port: u16) -> HttpClient {
        client(&format!("https://localhost:{port}/"), None, &transport(Some(self.authority.path())))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Passes connections on until it is told to forget those that it has: their bytes vanish, and nobody is told.
struct ForgetfulRelay {
    port: u16,
    made: Arc<AtomicUsize>,
    forgotten: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl ForgetfulRelay {
    async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (made, forgotten) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, limit) = (Arc::clone(&made), Arc::clone(&forgotten));
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near.0, far.1, number, Arc::clone(&limit)));
                tokio::spawn(pass(far.0, near.1, number, Arc::clone(&limit)));
            }
        });
        Self { port, made, forgotten, serving }
    }

    fn forget_connections(&self) {
        self.forgotten.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Drop for ForgetfulRelay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: usize, forgotten: Arc<AtomicUsize>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if number < forgotten.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

fn answer(mut respond: server::SendResponse<Bytes>, status: u16) {
    let _ = respond.send_response(Response::builder().status(status).body(()).unwrap(), true);
}

fn all_delivered(answers: &[Result<ReceiverResponse, ExchangeError>]) {
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)), "{answers:?}");
}

/// What nginx does after `keepalive_requests`: each connection takes some requests, and says goodbye.
#[tokio::test]
async fn requests_after_a_goodbye_are_sent_on_another_connection() {
    let server = ScriptedServer::start(
        128,
        Box::new(|_, mut connection| {
            Box::pin(async move {
                let mut taken = 0;
                while let Some(Ok((_, respond))) = connection.accept().await {
                    taken += 1;
                    if taken == 5 {
                        connection.graceful_shutdown();
                    }
                    answer(respond, 200);
                }
            })
        }),
    )
    .await;
    let client = server.client();
    for _ in 0..10 {
        all_delivered(&join_all((0..16).map(|_| post(&client))).await);
    }
    assert!(server.connections() > 1);
}

#[tokio::test]
async fn a_refused_stream_is_sent_on_another_connection() {
    let server = ScriptedServer::start(
        128,
        Box::new(|number, mut connection| {
            Box::pin(async move {
                let mut taken = 0;
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    taken += 1;
                    if number == 0 && taken > 3 {
                        respond.send_reset(Reason::REFUSED_STREAM);
                    } else {
                        answer(respond, 200);
                    }
                }
            })
        }),
    )
    .await;
    let client = server.client();
    for _ in 0..3 {
        all_delivered(&join_all((0..8).map(|_| post(&client))).await);
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_is_a_failure_in_the_end() {
    let server = ScriptedServer::start(
        128,
        Box::new(|_, mut connection| {
            Box::pin(async move {
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    respond.send_reset(Reason::REFUSED_STREAM);
                }
            })
        }),
    )
    .await;
    assert_eq!(failure_of(&server.client(), DEADLINE).await, (FailureClass::Reset, FailurePhase::Send));
    assert_eq!(server.connections(), MAX_RESENDS + 1);
}

#[tokio::test]
async fn requests_beyond_the_streams_of_a_connection_get_connections_of_their_own() {
    let server = ScriptedServer::start(
        2,
        Box::new(|_, mut connection| {
            Box::pin(async move {
                while let Some(Ok((_, respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        answer(respond, 200);
                    });
                }
            })
        }),
    )
    .await;
    let client = server.client();
    let began = Instant::now();
    all_delivered(&join_all((0..16).map(|_| post(&client))).await);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!((2..=16).contains(&server.connections()), "{}", server.connections());
}

#[tokio::test]
async fn a_connection_that_answers_421_takes_no_other_request() {
    let server = ScriptedServer::start(
        128,
        Box::new(|number, mut connection| {
            Box::pin(async move {
                while let Some(Ok((_, respond))) = connection.accept().await {
                    answer(respond, if number == 0 { 421 } else { 200 });
                }
            })
        }),
    )
    .await;
    let client = server.client();
    assert_eq!(post(&client).await.unwrap().status, 421);
    assert_eq!(post(&client).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_request_that_timed_out_takes_its_connection_with_it() {
    let server = ScriptedServer::start(
        128,
        Box::new(|number, mut connection| {
            Box::pin(async move {
                let mut held = Vec::new();
                while let Some(Ok((_, respond))) = connection.accept().await {
                    if number == 0 { held.push(respond) } else { answer(respond, 200) }
                }
            })
        }),
    )
    .await;
    let client = server.client();
    let expected = (FailureClass::Timeout, FailurePhase::ResponseHead);
    assert_eq!(failure_of(&client, Duration::from_millis(500)).await, expected);
    assert_eq!(post(&client).await.unwrap().status, 200);
}

/// As when a router forgets a connection: nothing arrives any more, and nobody says so.
#[tokio::test]
async fn a_connection_that_goes_silent_is_noticed_before_the_attempt_ends() {
    let server = ScriptedServer::start(
        128,
        Box::new(|_, mut connection| {
            Box::pin(async move {
                while let Some(Ok((_, respond))) = connection.accept().await {
                    answer(respond, 200);
                }
            })
        }),
    )
    .await;
    let relay = ForgetfulRelay::start(server.port).await;
    let client = server.client_at(relay.port);
    assert_eq!(post(&client).await.unwrap().status, 200);
    relay.forget_connections();
    let began = Instant::now();
    assert_eq!(post(&client).await.unwrap().status, 200);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_receiver_that_thinks_long_keeps_its_connection() {
    let server = ScriptedServer::start(
        128,
        Box::new(|_, mut connection| {
            Box::pin(async move {
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let wait = if request.uri().path() == "/slow" { 6 } else { 0 };
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_secs(wait)).await;
                        answer(respond, 200);
                    });
                }
            })
        }),
    )
    .await;
    let url = format!("https://localhost:{}/slow", server.port);
    let client = client(&url, None, &transport(Some(server.authority.path())));
    all_delivered(&join_all((0..4).map(|_| post(&client))).await);
    all_delivered(&[post(&client).await]);
    assert_eq!(server.connections(), 1);
}

/// The body is larger than what the receiver takes without reading.
#[tokio::test]
async fn a_receiver_that_does_not_read_fails_while_it_is_sent_to() {
    let server = ScriptedServer::start(
        128,
        Box::new(|_, mut connection| {
            Box::pin(async move {
                let mut held = Vec::new();
                while let Some(Ok(taken)) = connection.accept().await {
                    held.push(taken);
                }
            })
        }),
    )
    .await;
    let body = Bytes::from(vec![b'.'; 1 << 20]);
    let error = post_body(&server.client(), body, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((error.class, error.phase), (FailureClass::Timeout, FailurePhase::Send));
    until("a connection", DEADLINE, || async { server.connections() == 1 }).await;
}
