//! The listener: takes connections within the limits, and lets answers finish at a shutdown.
//!
//! HTTP/1.1 only, as before Kurir. What one connection may do stands in `connection`.

use crate::{
    connection::{self, Service},
    connection_limits::ConnectionLimits,
    connection_table::ConnectionTable,
};
use anyhow::Context as _;
use axum::Router;
use kurir_chassis::shutdown::CancellationToken;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tower_http::normalize_path::NormalizePath;

/// Connections that wait to be accepted; beyond it, clients try again after a second. The most that Linux allows by default.
const BACKLOG: u32 = 4096;
/// After an accept that failed, as it does when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that are told that there are too many. Others are closed without a word.
const MOST_REFUSALS: usize = 64;

/// Takes the port.
///
/// # Errors
/// If it is taken, or the address cannot be listened on.
pub async fn listen(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let listening = async {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        for address in lookup_host((host, port)).await? {
            match listen_on(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    listening.await.with_context(|| {
        format!("failed to listen on {host}:{port}: set PORT to a free port, and HOST to an address of this machine")
    })
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the shutdown, then takes nothing more and lets what is under way finish within `drain`.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    drain: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("failed to read the listener's address")?;
    tracing::info!("the API listens on http://{address}");
    // `/api/health/` is `/api/health`, as it was for Express.
    let service = NormalizePath::trim_trailing_slash(router);
    let table = ConnectionTable::new(&limits);
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let refusals = Arc::new(Semaphore::new(MOST_REFUSALS));
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        match table.admit(peer.ip()) {
            Some(place) => {
                let ends = connection::Ends { shutdown: shutdown.clone(), cut: cut.clone() };
                tasks.spawn(connection::serve(stream, place, Service::clone(&service), ends));
            }
            None => {
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    tasks.spawn(async move {
                        connection::refuse(stream).await;
                        drop(permit);
                    });
                }
            }
        }
    }
    drop(listener);
    tasks.close();
    let under_way = tasks.len();
    if under_way > 0 {
        tracing::info!("the API stops; {under_way} connection(s) are still open");
    }
    if timeout(drain, tasks.wait()).await.is_err() {
        cut.cancel();
        tasks.wait().await;
    }
    Ok(())
}

/// The next connection; an accept that fails is tried again.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::debug!("failed to accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
