//! `kurir receive`: an example receiver, for the demo and to see what a webhook will get.

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

/// An event with a file of 5 MB in base64, and room around it.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Runs until SIGINT or SIGTERM.
pub async fn receive(listen: SocketAddr) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("failed to listen on {listen} (--listen)"))?;
    eprintln!("ready");
    let receiver = Router::new().fallback(any(print)).layer(DefaultBodyLimit::max(MAX_BODY));
    tokio::select! {
        served = axum::serve(listener, receiver) => served.context("failed to serve")?,
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to listen for SIGINT")?,
    }
    Ok(true)
}

async fn print(headers: HeaderMap, body: Bytes) -> StatusCode {
    match serde_json::from_slice::<Value>(&body) {
        // As it came, if that is one line: the order of the fields is the sender's.
        Ok(_) if !body.contains(&b'\n') => println!("{}", String::from_utf8_lossy(&body)),
        Ok(event) => println!("{event}"),
        Err(error) => {
            // A receiver tells a repeat by this header: the same event has the same id at every delivery.
            let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or("no webhook-id");
            eprintln!("{id}: the body is no JSON: {error}");
        }
    }
    StatusCode::OK
}
