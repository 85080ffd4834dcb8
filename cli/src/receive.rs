//! `kurir receive`: an example receiver for the demo. It prints what a webhook receives.

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode},
    routing::any,
};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// The largest body: an event with a file of 5 MB in base64, and some room.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Prints every request until SIGINT or SIGTERM.
pub async fn run_receiver(listen: SocketAddr) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("failed to listen on {listen} (--listen)"))?;
    eprintln!("ready");
    let receiver = Router::new().fallback(any(print_event)).layer(DefaultBodyLimit::max(MAX_BODY));
    tokio::select! {
        served = axum::serve(listener, receiver) => served.context("failed to serve")?,
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to listen for SIGINT")?,
    }
    Ok(true)
}

async fn print_event(headers: HeaderMap, body: Bytes) -> StatusCode {
    match serde_json::from_slice::<Value>(&body) {
        // A body of one line is printed unchanged, with its fields in the sender's order.
        Ok(_) if !body.contains(&b'\n') => println!("{}", String::from_utf8_lossy(&body)),
        Ok(event) => println!("{event}"),
        Err(error) => {
            // A receiver recognises a repeat by this header: an event has the same id at every delivery.
            let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or("no webhook-id");
            eprintln!("{id}: the body is no JSON: {error}");
        }
    }
    StatusCode::OK
}
