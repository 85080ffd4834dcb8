//! The trust anchors of the simulator: what a client changes instead of switching its checks off.

use axum::{Json, extract::State};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{signal::hexadecimal, state::SharedState};

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustAnchors {
    /// The public root key of the chat server's certificate chain: 32 bytes in hexadecimal digits.
    noise_root_key: String,
    /// The same in base64.
    noise_root_key_base64: String,
    /// The serial number that the intermediate certificate names as its issuer.
    noise_issuer_serial: u32,
    /// The self-signed certificate of the media server, PEM.
    media_certificate: Option<String>,
    /// The media server's `address:port`.
    media_host: String,
}

pub async fn show(State(shared): State<SharedState>) -> Json<TrustAnchors> {
    let server = shared.lock();
    let root = server.identity.root_public();
    Json(TrustAnchors {
        noise_root_key: hexadecimal(&root),
        noise_root_key_base64: BASE64_STANDARD.encode(root),
        noise_issuer_serial: 0,
        media_certificate: server.media_tls.as_ref().map(|tls| pem(&tls.certificate)),
        media_host: server.media.host(),
    })
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
