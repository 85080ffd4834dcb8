//! The listener: takes connections within the limits, and lets answers finish at a shutdown.
//!
//! HTTP/1.1 only, as before Kurir. What one connection may do stands in `connection`.

use crate::{
    connection::{self, Service},
    connection_limits::ConnectionLimits,
    connection_table::ConnectionTable,
    tls::TlsCertificate,
};
use anyhow::Context as _;
use axum::Router;
use futures::future::select_all;
use kurir_chassis::shutdown::CancellationToken;
use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
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

/// The default of `HOST`, which Express listened on for IPv6, too.
const ALL_ADDRESSES: &str = "0.0.0.0";

/// Takes the port; at the default `HOST` for IPv6 as well, if this machine has it.
///
/// # Errors
/// If it is taken, or the address cannot be listened on.
pub async fn listen(host: &str, port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = vec![listen_at(host, port).await?];
    if host == ALL_ADDRESSES {
        match listen_on(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), true) {
            Ok(listener) => listeners.push(listener),
            Err(error) => tracing::debug!("the API does not listen for IPv6: {error}"),
        }
    }
    Ok(listeners)
}

async fn listen_at(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let listening = async {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        for address in lookup_host((host, port)).await? {
            match listen_on(address, false) {
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

/// `beside_v4`: another socket takes the clients of IPv4.
fn listen_on(address: SocketAddr, beside_v4: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if beside_v4 {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the shutdown, then takes nothing more and lets what is under way finish within `drain`.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listeners: Vec<TcpListener>,
    certificate: Option<Arc<TlsCertificate>>,
    router: Router,
    limits: ConnectionLimits,
    drain: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    for listener in &listeners {
        let address = listener.local_addr().context("failed to read the listener's address")?;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        tracing::info!("the API listens on {scheme}://{address}");
    }
    // `/api/health/` is `/api/health`, as it was for Express.
    let service = NormalizePath::trim_trailing_slash(router);
    let table = ConnectionTable::new(&limits);
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let refusals = Arc::new(Semaphore::new(MOST_REFUSALS));
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listeners) => accepted,
        };
        match table.admit(peer.ip()) {
            Some(place) => {
                let ends = connection::Ends { shutdown: shutdown.clone(), cut: cut.clone() };
                let tls = certificate.as_ref().map(|certificate| certificate.acceptor());
                tasks.spawn(connection::serve(stream, tls, place, Service::clone(&service), ends));
            }
            // A caller that expects TLS would not understand it.
            None if certificate.is_some() => {}
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
    drop(listeners);
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
async fn accept(listeners: &[TcpListener]) -> (TcpStream, SocketAddr) {
    loop {
        let (accepted, _, _) = select_all(listeners.iter().map(|listener| Box::pin(listener.accept()))).await;
        match accepted {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::debug!("failed to accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
