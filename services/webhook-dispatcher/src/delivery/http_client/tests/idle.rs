//! Connections between two requests.

use super::*;
use crate::delivery::http_client::{
    http1::{Http1Connection, IDLE_TIMEOUT},
    idle_connections::IdleConnections,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// More than the idle time, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Answers one request with 200.
async fn answer(connection: &mut TcpStream) {
    let mut bytes = [0; 4096];
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        let read = connection.read(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "the request must be whole");
        request.extend_from_slice(&bytes[..read]);
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_the_receiver_would_close_it() {
    const CONNECTIONS: usize = 3;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (closed, mut closings) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let closed = closed.clone();
            tokio::spawn(async move {
                answer(&mut connection).await;
                let answered = Instant::now();
                assert_eq!(connection.read(&mut [0]).await.unwrap(), 0, "only the end may follow");
                closed.send(answered.elapsed()).unwrap();
            });
        }
    });
    let client = client(&url, None, &transport(None));
    let posts = futures::future::join_all((0..CONNECTIONS).map(|_| post(&client))).await;
    assert!(posts.iter().all(Result::is_ok), "{posts:?}");
    for _ in 0..CONNECTIONS {
        let idle = timeout(SOON, closings.recv()).await.expect("it must be closed").unwrap();
        assert!(idle > IDLE_TIMEOUT - Duration::from_secs(1), "closed after {idle:?}");
    }
}

#[tokio::test]
async fn a_connection_that_cannot_be_used_again_takes_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}/", listener.local_addr().unwrap()), None, &transport(None));
    let idle = IdleConnections::default();
    for (says, closes) in [("", true), ("nobody asked", false), ("nobody asked", true), ("", false)] {
        let phase = CurrentPhase::new(FailurePhase::Dns);
        let (dialed, accepted) =
            tokio::join!(client.pool.dialer.dial(&phase, Instant::now() + DEADLINE), listener.accept());
        let (connection, mut other_side) = (Http1Connection::new(dialed.unwrap()), accepted.unwrap().0);
        let generation = connection.generation;
        other_side.write_all(says.as_bytes()).await.unwrap();
        let held = Some(other_side).filter(|_| !closes);
        idle.put(connection);
        let taken_in_vain = async {
            while let Some(connection) = idle.take(generation) {
                idle.put(connection);
                tokio::task::yield_now().await;
            }
        };
        if says.is_empty() && !closes {
            let connection = idle.take(generation).expect("it can be used");
            // The files of the resolver have changed since: the name may lead elsewhere.
            idle.put(connection);
            assert!(idle.take(generation + 1).is_none());
        } else {
            timeout(SOON, taken_in_vain).await.expect("what came must be noticed");
        }
        drop(held);
    }
}
