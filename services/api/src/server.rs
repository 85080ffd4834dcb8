//! The listener: a taken port is a clear error, a client that says nothing is let go, a shutdown lets answers finish.

use anyhow::Context as _;
use axum::{Router, ServiceExt, extract::Request};
use axum_server::Handle;
use kurir_chassis::shutdown::CancellationToken;
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tower_http::normalize_path::NormalizePath;

/// A request's head, from the first byte or since the last answer. Longer than clients keep an idle connection.
const HEAD_WITHIN: Duration = Duration::from_secs(75);

/// Takes the port.
///
/// # Errors
/// If it is taken, or the address cannot be listened on.
pub async fn listen(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((host, port)).await.with_context(|| {
        format!("failed to listen on {host}:{port}: set PORT to a free port, and HOST to an address of this machine")
    })
}

/// Serves until the shutdown, then takes nothing more and lets what is under way finish within `drain`.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    drain: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("failed to read the listener's address")?;
    let handle = Handle::<SocketAddr>::new();
    let mut server = axum_server::from_tcp(listener.into_std()?)?.handle(handle.clone());
    server.http_builder().http1().header_read_timeout(HEAD_WITHIN);
    tracing::info!("the API listens on http://{address}");
    // `/api/health/` is `/api/health`, as it was for Express.
    let service = NormalizePath::trim_trailing_slash(router);
    let mut serving = std::pin::pin!(server.serve(ServiceExt::<Request>::into_make_service(service)));
    tokio::select! {
        ended = &mut serving => return ended.context("failed to serve"),
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(drain)),
    }
    let under_way = handle.connection_count();
    if under_way > 0 {
        tracing::info!("the API stops; {under_way} connection(s) are still open");
    }
    serving.await.context("failed to stop serving")
}
