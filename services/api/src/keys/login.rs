//! How a browser stays logged in: a signed cookie that names the key and an end, and a token against forged requests.
//!
//! Nothing is kept of a login, so every replica knows it. The signing key is random and in NATS; a login with `API_KEY` ends
//! when that is changed, one with another key when it is deleted.

use super::{
    caller::{Caller, ENVIRONMENT_KEY},
    key_record::hash_key,
    key_table::KeyTable,
};
use crate::{api_key::ApiKey, bucket_error::bucket_write_error, response::ApiError};
use axum::http::{HeaderMap, HeaderName, header::COOKIE};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, LOGINS_BUCKET},
};
use kurir_contract::clock;
use ring::hmac;
use std::{sync::OnceLock, time::Duration};

const NAME: &str = "kurir_login";
/// A working day.
pub const LASTS: Duration = Duration::from_secs(12 * 60 * 60);
const SIGNING_KEY: &str = "signing-key";

/// The header in which the page sends its token.
pub fn csrf_header() -> HeaderName {
    HeaderName::from_static("x-csrf-token")
}

pub struct LoginCookies {
    bucket: Bucket,
    signing_key: OnceLock<hmac::Key>,
}

impl LoginCookies {
    pub fn new(broker: Broker) -> Self {
        Self { bucket: Bucket::new(broker, LOGINS_BUCKET), signing_key: OnceLock::new() }
    }

    /// The key that all replicas sign with; the first one makes it.
    pub async fn prepare(&self) -> Result<&hmac::Key, ApiError> {
        if let Some(known) = self.signing_key.get() {
            return Ok(known);
        }
        let fresh: [u8; 32] = rand::random();
        let created = self.bucket.create(SIGNING_KEY, Bytes::copy_from_slice(&fresh)).await;
        if let Err(error) = created
            && !error.is_conflict()
        {
            return Err(bucket_write_error(error));
        }
        let stored = self.bucket.get(SIGNING_KEY).await.map_err(bucket_write_error)?;
        let stored = stored.ok_or_else(ApiError::broker_unavailable)?;
        Ok(self.signing_key.get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, &stored.value)))
    }

    /// The value of `Set-Cookie` that logs a caller in.
    pub async fn issue(&self, caller: &Caller, api_key: &ApiKey, is_https: bool) -> Result<String, ApiError> {
        let signing_key = self.prepare().await?;
        let until = (clock::now() + LASTS).unix_timestamp();
        let nonce: [u8; 16] = rand::random();
        let claims = format!("{}.{until}.{}", caller.key_id, hex::encode(nonce));
        let tag = sign(signing_key, &[b"login", claims.as_bytes(), &binding(&caller.key_id, api_key)]);
        let secure = if is_https { "; Secure" } else { "" };
        Ok(format!("{NAME}={claims}.{tag}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", LASTS.as_secs()))
    }

    /// The value of `Set-Cookie` that logs out.
    pub fn expire() -> String {
        format!("{NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    /// The caller that is logged in, with the token that a change must bring.
    pub fn read(&self, headers: &HeaderMap, api_key: &ApiKey, keys: &KeyTable) -> Option<(Caller, String)> {
        let (signing_key, now) = (self.signing_key.get()?, clock::now());
        let cookie = cookie_value(headers)?;
        let (claims, tag) = cookie.rsplit_once('.')?;
        let mut parts = claims.split('.');
        let (key_id, until) = (parts.next()?, parts.next()?.parse::<i64>().ok()?);
        if until <= now.unix_timestamp() {
            return None;
        }
        let signed = join(&[b"login", claims.as_bytes(), &binding(key_id, api_key)]);
        hmac::verify(signing_key, &signed, &BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let caller = match key_id {
            ENVIRONMENT_KEY => Caller::environment(),
            other => Caller::of_key(&keys.find_id(other, now)?),
        };
        let token = sign(signing_key, &[b"csrf", cookie.as_bytes()]);
        Some((Caller { via_dashboard: true, ..caller }, token))
    }
}

/// What a login with `API_KEY` depends on besides its claims.
fn binding(key_id: &str, api_key: &ApiKey) -> Vec<u8> {
    if key_id == ENVIRONMENT_KEY { hash_key(api_key.as_bytes()).into_bytes() } else { Vec::new() }
}

/// Each part with its length, so that no two lists of parts are signed alike.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied())).collect()
}

fn sign(key: &hmac::Key, parts: &[&[u8]]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(key, &join(parts)))
}

fn cookie_value(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}
