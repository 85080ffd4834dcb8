//! The media store: HTTPS with a certificate made at start, bytes in memory.
//! Promises to give back what was put under a path, as slowly as was asked. Encryption is the senders' and receivers'
//! business; only the control API asks it to encrypt for a simulated phone. Uploads meet faults as stanzas do.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{
        StatusCode,
        header::{CONTENT_LENGTH, LOCATION},
    },
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use futures::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::media_store::PIECES_A_SECOND;
use crate::media_store::TlsIdentity;
use crate::{
    faults::{FaultKind, FaultRule, StanzaFacts, TrafficDirection},
    state::SharedState,
};

/// WhatsApp takes documents of 2 GB; no test here needs more than this.
const MAX_UPLOAD: usize = 128 * 1024 * 1024;

/// Binds the store and gives what serves it.
pub async fn bind(
    shared: SharedState,
    listen: SocketAddr,
    handle: Handle<SocketAddr>,
) -> Result<(SocketAddr, impl Future<Output = Result<()>>)> {
    let listener = TcpListener::bind(listen).with_context(|| format!("listen on {listen} (SIMULATOR_MEDIA_LISTEN)"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    // Loopback is what a client on this machine reaches, whatever the store listens on.
    let host =
        if address.ip().is_unspecified() { format!("127.0.0.1:{}", address.port()) } else { address.to_string() };
    let store = Arc::clone(&shared.lock().media);
    store.set_host(host).ok().context("the store listens already")?;
    let identity = tls_identity(&shared, &address.ip().to_string())?;
    let tls = RustlsConfig::from_der(vec![identity.certificate], identity.private_key).await?;
    let router = Router::new()
        .route("/mms/{kind}/{token}", post(upload))
        .route("/newsletter/{kind}/{token}", post(upload))
        .route("/v/{kind}/{name}", get(download))
        .route("/", get(page))
        .layer(DefaultBodyLimit::max(MAX_UPLOAD))
        .with_state(shared);
    let server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
    Ok((address, async move { Ok(server.serve(router.into_make_service()).await?) }))
}

/// The certificate that the state has for this address, or a new one.
fn tls_identity(shared: &SharedState, ip: &str) -> Result<TlsIdentity> {
    let known = shared.lock().media_tls.clone().filter(|tls| tls.names.iter().any(|name| name == ip));
    if let Some(known) = known {
        return Ok(known);
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), ip.to_owned()];
    names.dedup();
    let certified = rcgen::generate_simple_self_signed(names.clone()).context("make a certificate")?;
    let identity = TlsIdentity {
        certificate: certified.cert.der().to_vec(),
        private_key: certified.signing_key.serialize_der(),
        names,
    };
    let mut server = shared.lock();
    server.media_tls = Some(identity.clone());
    server.dirty = true;
    Ok(identity)
}

/// A browser that takes this address for WhatsApp's is on its page, where passkeys work.
async fn page() -> Html<&'static str> {
    Html("<!doctype html><title>WhatsApp</title><p>The page of a simulated WhatsApp.</p>")
}

#[derive(Deserialize)]
struct UploadQuery {
    resume: Option<String>,
}

#[derive(Serialize)]
struct UploadResponse {
    url: String,
    direct_path: String,
    /// What a message in a channel names as its `media_id`.
    handle: String,
}

async fn upload(
    State(shared): State<SharedState>,
    Path((kind, _token)): Path<(String, String)>,
    Query(query): Query<UploadQuery>,
    bytes: Bytes,
) -> Response {
    // A client asks so before a large upload; nothing is ever half there.
    if query.resume.is_some() && bytes.is_empty() {
        return Json(serde_json::json!({"resume": "0"})).into_response();
    }
    let (store, fault) = {
        let mut state = shared.lock();
        let seen = StanzaFacts { stanza: "upload", kind: Some(&kind), ..StanzaFacts::default() };
        (Arc::clone(&state.media), state.faults.meet(TrafficDirection::FromClient, &seen))
    };
    match fault {
        Some(FaultRule { kind: FaultKind::Delay, delay_ms, .. }) => {
            tokio::time::sleep(Duration::from_millis(delay_ms.unwrap_or_default())).await;
        }
        Some(FaultRule { code, .. }) => {
            let code = code.and_then(|code| StatusCode::from_u16(code).ok());
            return code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        }
        None => {}
    }
    let direct_path = store.put(&kind, bytes);
    Json(UploadResponse { url: store.url(&direct_path), handle: direct_path.clone(), direct_path }).into_response()
}

async fn download(State(shared): State<SharedState>, Path((kind, name)): Path<(String, String)>) -> Response {
    let store = Arc::clone(&shared.lock().media);
    let path = format!("/v/{kind}/{name}");
    if let Some(url) = store.redirect_of(&path) {
        return (StatusCode::FOUND, [(LOCATION, url)]).into_response();
    }
    match (store.get(&path), store.rate(&path)) {
        (Some(bytes), _) if store.stalls(&path) => {
            let half = bytes.slice(..bytes.len() / 2);
            let first = stream::once(async move { Ok::<_, Infallible>(half) });
            ([(CONTENT_LENGTH, bytes.len())], Body::from_stream(first.chain(stream::pending()))).into_response()
        }
        (Some(bytes), None) => bytes.into_response(),
        (Some(bytes), Some(rate)) => Body::from_stream(slowly(bytes, rate)).into_response(),
        (None, _) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn slowly(bytes: Bytes, rate: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let piece = usize::try_from(rate / PIECES_A_SECOND).unwrap_or(usize::MAX).max(1);
    stream::unfold(bytes, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        let next = left.split_to(piece.min(left.len()));
        tokio::time::sleep(Duration::from_millis(1_000 / PIECES_A_SECOND)).await;
        Some((Ok(next), left))
    })
}
