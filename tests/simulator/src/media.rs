//! The media store: HTTPS with a certificate made at start, bytes in memory.
//! Promises to give back what was put under a path. Encryption is the senders' and receivers'
//! business; only the control API asks it to encrypt for a simulated phone. Uploads meet faults as stanzas do.

use std::{
    collections::{HashMap, VecDeque},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    faults::{Direction, Fault, Kind, Seen},
    world::Shared,
};

/// WhatsApp takes documents of 2 GB; no test here needs more than this.
const MAX_UPLOAD: usize = 128 * 1024 * 1024;

/// What the store holds at most; the oldest media give way.
const MAX_HELD: usize = 1024 * 1024 * 1024;

#[derive(Default)]
pub struct MediaStore {
    host: OnceLock<String>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    blobs: HashMap<String, Bytes>,
    order: VecDeque<String>,
    size: usize,
}

impl MediaStore {
    /// `address:port`, once the store listens.
    pub fn host(&self) -> String {
        self.host.get().cloned().unwrap_or_default()
    }

    /// Keeps the bytes under a new path.
    pub fn put(&self, kind: &str, bytes: Bytes) -> String {
        let name = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let path = format!("/v/{kind}/{name}");
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.size += bytes.len();
        held.blobs.insert(path.clone(), bytes);
        held.order.push_back(path.clone());
        while held.size > MAX_HELD
            && let Some(oldest) = held.order.pop_front()
        {
            let gone = held.blobs.remove(&oldest).map_or(0, |bytes| bytes.len());
            held.size -= gone;
        }
        path
    }

    pub fn get(&self, path: &str) -> Option<Bytes> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.blobs.get(path).cloned()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }
}

/// Binds the store and gives what serves it.
pub async fn bind(
    shared: Shared,
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
    store.host.set(host).ok().context("the store listens already")?;
    let names = vec!["localhost".to_owned(), address.ip().to_string()];
    let certified = rcgen::generate_simple_self_signed(names).context("make a certificate")?;
    let tls =
        RustlsConfig::from_der(vec![certified.cert.der().to_vec()], certified.signing_key.serialize_der()).await?;
    let router = Router::new()
        .route("/mms/{kind}/{token}", post(upload))
        .route("/v/{kind}/{name}", get(download))
        .layer(DefaultBodyLimit::max(MAX_UPLOAD))
        .with_state(shared);
    let server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
    Ok((address, async move { Ok(server.serve(router.into_make_service()).await?) }))
}

#[derive(Deserialize)]
struct UploadQuery {
    resume: Option<String>,
}

#[derive(Serialize)]
struct Uploaded {
    url: String,
    direct_path: String,
}

async fn upload(
    State(shared): State<Shared>,
    Path((kind, _token)): Path<(String, String)>,
    Query(query): Query<UploadQuery>,
    bytes: Bytes,
) -> Response {
    // A client asks so before a large upload; nothing is ever half there.
    if query.resume.is_some() && bytes.is_empty() {
        return Json(serde_json::json!({"resume": "0"})).into_response();
    }
    let (store, fault) = {
        let mut world = shared.lock();
        let seen = Seen { stanza: "upload", kind: Some(&kind), ..Seen::default() };
        (Arc::clone(&world.media), world.faults.meet(Direction::FromClient, &seen))
    };
    match fault {
        Some(Fault { kind: Kind::Delay, delay_ms, .. }) => {
            tokio::time::sleep(Duration::from_millis(delay_ms.unwrap_or_default())).await;
        }
        Some(Fault { code, .. }) => {
            let code = code.and_then(|code| StatusCode::from_u16(code).ok());
            return code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        }
        None => {}
    }
    let direct_path = store.put(&kind, bytes);
    Json(Uploaded { url: store.url(&direct_path), direct_path }).into_response()
}

async fn download(State(shared): State<Shared>, Path((kind, name)): Path<(String, String)>) -> Response {
    let store = Arc::clone(&shared.lock().media);
    match store.get(&format!("/v/{kind}/{name}")) {
        Some(bytes) => bytes.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
