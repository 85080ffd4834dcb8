//! A listener that serves each connection in a task of its own and can be stopped for sure.
//!
//! After [`Listening::stop`] no connection is open and new ones are refused. Dropped, it stops as well,
//! only without waiting for it.

use std::future::Future;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Port;

#[derive(Debug)]
pub struct Listening {
    asked_to_stop: CancellationToken,
    accepting: AbortOnDropHandle<()>,
}

impl Listening {
    pub fn start<F>(port: &Port, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = port.listen();
        let asked_to_stop = CancellationToken::new();
        let stop = asked_to_stop.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Some(_) = connections.join_next() => {}
                    accepted = listener.accept() => {
                        // An error is one connection's (gone before it was accepted), not the listener's.
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
        Self { asked_to_stop, accepting: AbortOnDropHandle::new(accepting) }
    }

    pub async fn stop(self) {
        self.asked_to_stop.cancel();
        // It can only have panicked, and then it listens no more either.
        let _ = self.accepting.await;
    }
}
