//! HTTP/1 answers in bad form, and connections that break where it matters.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A server that reads each request and then does what the test says, by the number of the connection and of its
/// request, both from 0. It keeps the connection while the test's function returns true.
struct RawServer {
    url: String,
    requests: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

type Script = fn(usize, usize) -> (&'static [u8], bool);

impl RawServer {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(connection(stream, number, script, Arc::clone(&counted)));
            }
        });
        Self { url, requests, serving }
    }

    fn client(&self) -> HttpClient {
        client(&self.url, None, &transport(None))
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn connection(mut stream: TcpStream, number: usize, script: Script, requests: Arc<AtomicUsize>) {
    for request in 0.. {
        let mut head = Vec::new();
        while !head.ends_with(b"{}") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let (answer, stays_open) = script(number, request);
        if stream.write_all(answer).await.is_err() || !stays_open {
            return;
        }
    }
}

#[tokio::test]
async fn a_status_counts_whatever_the_form_of_its_answer() {
    let scripts: [Script; 12] = [
        |_, _| (b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok", true),
        |_, _| (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", true),
        |_, _| (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", true),
        |_, _| (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", true),
        |_, _| (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", true),
        |_, _| (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nok", true),
        |_, _| (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false),
        |_, _| (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", true),
        |_, _| (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", true),
        |_, _| (b"HTTP/1.1 200\r\nbroken line\r\nContent-Length: 0\r\n\r\n", true),
        |_, _| (b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false),
        |_, _| (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok and more", true),
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let server = RawServer::start(script).await;
        let client = server.client();
        for _ in 0..2 {
            let answer = post_within(&client, Duration::from_secs(3)).await;
            assert_eq!(answer.as_ref().map(|answer| answer.status).ok(), Some(200), "{number}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_when_it_is_used_again_costs_no_attempt() {
    // Each connection takes one request, and closes at the second although it said nothing of it.
    let server = RawServer::start(|_, request| match request {
        0 => (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        _ => (b"", false),
    })
    .await;
    let client = server.client();
    for _ in 0..5 {
        assert_eq!(post(&client).await.unwrap().status, 200);
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 9);
}

#[tokio::test]
async fn a_new_connection_that_breaks_and_an_answer_that_breaks_are_failures() {
    let scripts: [(Script, FailurePhase); 3] = [
        (|_, _| (b"", false), FailurePhase::ResponseHead),
        (|_, _| (b"HTTP/1.1 200 O", false), FailurePhase::ResponseHead),
        (|_, _| (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", false), FailurePhase::ResponseBody),
    ];
    for (script, phase) in scripts {
        let server = RawServer::start(script).await;
        assert_eq!(failure_of(&server.client(), DEADLINE).await, (FailureClass::Reset, phase));
        assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn an_answer_that_costs_too_much_is_ended_before_its_time() {
    let server = RawServer::start(|_, _| {
        const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        static MANY: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| HINTS.repeat(100_000));
        (MANY.as_slice(), true)
    })
    .await;
    let began = Instant::now();
    assert_eq!(failure_of(&server.client(), DEADLINE).await, (FailureClass::Invalid, FailurePhase::ResponseHead));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// A receiver that needs only the head may answer before it has read a large body, and close the connection.
#[tokio::test]
async fn an_early_answer_is_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 1024];
            let _ = stream.read(&mut some).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let client = client(&url, None, &transport(None));
    let answer = post_body(&client, Bytes::from(vec![b'.'; 8 << 20]), DEADLINE).await;
    assert_eq!(answer.unwrap().status, 200);
    serving.abort();
}
