//! The media store: HTTPS with a certificate made at start, bytes in memory.
//! Promises to give back what was put under a path, as slowly as was asked. Encryption is the senders' and receivers'
//! business; only the control API asks it to encrypt for a simulated phone. Uploads meet faults as stanzas do.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{StatusCode, header::CONTENT_LENGTH},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{Stream, StreamExt as _, stream};
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
    /// Bytes a second, of those that come slowly.
    slow: HashMap<String, u64>,
    /// Of which half comes, and then nothing, and no end.
    stalled: HashSet<String>,
    /// What phones can upload once more.
    originals: VecDeque<Arc<Original>>,
    order: VecDeque<String>,
    size: usize,
}

/// A file as the phone that sent it still has it, or has it no longer.
pub struct Original {
    pub media_key: Vec<u8>,
    pub kind: &'static str,
    /// Encrypted.
    pub sealed: Bytes,
    pub answer: Reupload,
}

/// What a phone says when it is asked for a file once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reupload {
    #[default]
    Success,
    NotFound,
    /// Nothing.
    Silent,
}

/// Files that phones can be asked for; the oldest are forgotten.
const MAX_ORIGINALS: usize = 1_000;
/// A slow file is written so often a second.
const PIECES_A_SECOND: u64 = 10;

impl MediaStore {
    /// From now on it comes with so many bytes a second.
    pub fn slow_down(&self, path: &str, bytes_per_second: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.slow.insert(path.to_owned(), bytes_per_second.max(PIECES_A_SECOND));
    }

    /// From now on half of it comes, and then nothing.
    pub fn stall(&self, path: &str) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).stalled.insert(path.to_owned());
    }

    /// It is no longer there.
    pub fn remove(&self, path: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = held.blobs.remove(path).map_or(0, |bytes| bytes.len());
        held.size -= gone;
    }

    /// A phone remembers a file.
    pub fn remember(&self, original: Original) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.originals.push_back(Arc::new(original));
        if held.originals.len() > MAX_ORIGINALS {
            held.originals.pop_front();
        }
    }

    /// The newest file that a phone remembers and that fits.
    pub fn original(&self, fits: impl Fn(&Original) -> bool) -> Option<Arc<Original>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.originals.iter().rev().find(|original| fits(original)).cloned()
    }

    fn stalls(&self, path: &str) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).stalled.contains(path)
    }

    fn rate(&self, path: &str) -> Option<u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).slow.get(path).copied()
    }

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
        .route("/", get(page))
        .layer(DefaultBodyLimit::max(MAX_UPLOAD))
        .with_state(shared);
    let server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
    Ok((address, async move { Ok(server.serve(router.into_make_service()).await?) }))
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
    let path = format!("/v/{kind}/{name}");
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
