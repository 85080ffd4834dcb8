//! A TCP server that serves each connection in a task, and can be stopped.
//!
//! After [`TcpServer::stop`] no connection is open and new ones are refused. A drop stops it, too, but does not wait.

use std::future::Future;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Port;

#[derive(Debug)]
pub struct TcpServer {
    stop_requested: CancellationToken,
    accepting: AbortOnDropHandle<()>,
}

impl TcpServer {
    pub fn start<F>(port: &Port, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = port.listen();
        let stop_requested = CancellationToken::new();
        let stop = stop_requested.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Some(_) = connections.join_next() => {}
                    accepted = listener.accept() => {
                        // An error concerns one connection, which ended before it was accepted, not the listener.
                        if let Ok((stream, _)) = accepted {
                            let _ = stream.set_nodelay(true);
                            connections.spawn(serve(stream));
                        }
                    }
                }
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self { stop_requested, accepting: AbortOnDropHandle::new(accepting) }
    }

    pub async fn stop(self) {
        self.stop_requested.cancel();
        // An error means that the task panicked, and then it does not listen either.
        let _ = self.accepting.await;
    }
}
