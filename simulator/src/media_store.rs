//! The files that clients and simulated phones uploaded: bytes in memory, by path.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use axum::body::Bytes;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::randomness::random;

/// What the store holds at most; the oldest media give way.
const MAX_HELD: usize = 1024 * 1024 * 1024;

#[derive(Default)]
pub struct MediaStore {
    host: OnceLock<String>,
    held: Mutex<StoredMedia>,
}

#[derive(Default)]
struct StoredMedia {
    blobs: HashMap<String, Bytes>,
    /// Bytes a second, of those that come slowly.
    slow: HashMap<String, u64>,
    /// Of which half comes, and then nothing, and no end.
    stalled: HashSet<String>,
    /// The URL that a request for the path is redirected to.
    redirected: HashMap<String, String>,
    /// What phones can upload once more.
    originals: VecDeque<Arc<OriginalFile>>,
    order: VecDeque<String>,
    size: usize,
}

/// The media server's certificate and private key, both DER, and the names that the certificate is for.
#[derive(Clone)]
pub struct TlsIdentity {
    pub certificate: Vec<u8>,
    pub private_key: Vec<u8>,
    pub names: Vec<String>,
}

/// A file as the phone that sent it still has it, or has it no longer.
pub struct OriginalFile {
    pub media_key: Vec<u8>,
    pub kind: &'static str,
    /// Encrypted.
    pub sealed: Bytes,
    pub answer: ReuploadAnswer,
}

/// What a phone says when it is asked for a file once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReuploadAnswer {
    #[default]
    Success,
    NotFound,
    /// Nothing.
    Silent,
}

/// The query of a direct path. Clients append `&hash=…`, so there is always one, as WhatsApp's paths have it.
const SIGNATURE: &str = "ccb=11-4&oh=";

/// The key of a stored file: its path without the query, to which clients append.
fn key_of(direct_path: &str) -> &str {
    direct_path.split('?').next().unwrap_or_default()
}

/// Files that phones can be asked for; the oldest are forgotten.
const MAX_ORIGINALS: usize = 1_000;
/// A slow file is written so often a second.
pub const PIECES_A_SECOND: u64 = 10;

impl MediaStore {
    /// From now on it comes with so many bytes a second.
    pub fn slow_down(&self, path: &str, bytes_per_second: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.slow.insert(key_of(path).to_owned(), bytes_per_second.max(PIECES_A_SECOND));
    }

    /// From now on half of it comes, and then nothing.
    pub fn stall(&self, path: &str) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).stalled.insert(key_of(path).to_owned());
    }

    /// From now on a request for the path is redirected to this URL.
    pub fn redirect(&self, path: &str, url: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.redirected.insert(key_of(path).to_owned(), url.to_owned());
    }

    /// It is no longer there.
    pub fn remove(&self, path: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = held.blobs.remove(key_of(path)).map_or(0, |bytes| bytes.len());
        held.size -= gone;
    }

    /// A phone remembers a file.
    pub fn remember(&self, original: OriginalFile) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.originals.push_back(Arc::new(original));
        if held.originals.len() > MAX_ORIGINALS {
            held.originals.pop_front();
        }
    }

    /// The newest file that a phone remembers and that fits.
    pub fn original(&self, fits: impl Fn(&OriginalFile) -> bool) -> Option<Arc<OriginalFile>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.originals.iter().rev().find(|original| fits(original)).cloned()
    }

    pub fn redirect_of(&self, path: &str) -> Option<String> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).redirected.get(key_of(path)).cloned()
    }

    pub fn stalls(&self, path: &str) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).stalled.contains(key_of(path))
    }

    pub fn rate(&self, path: &str) -> Option<u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).slow.get(key_of(path)).copied()
    }

    /// Says once where the store listens, as `address:port`.
    pub fn set_host(&self, host: String) -> Result<(), String> {
        self.host.set(host)
    }

    /// `address:port`, once the store listens.
    pub fn host(&self) -> String {
        self.host.get().cloned().unwrap_or_default()
    }

    /// Keeps the bytes under a new path.
    pub fn put(&self, kind: &str, bytes: Bytes) -> String {
        let name = BASE64_URL_SAFE_NO_PAD.encode(random::<[u8; 16]>());
        let path = format!("/v/{kind}/{name}?{SIGNATURE}{name}");
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.size += bytes.len();
        held.blobs.insert(key_of(&path).to_owned(), bytes);
        held.order.push_back(key_of(&path).to_owned());
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
        held.blobs.get(key_of(path)).cloned()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }
}
