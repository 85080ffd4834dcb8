//! Connections through a proxy: which proxy an endpoint has, and the tunnel for https.

use crate::delivery::guard::AddressGuard;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use url::Url;

/// A proxy says yes or no; its head has a few lines.
const MAX_HEAD: usize = 8 * 1024;

/// A proxy that speaks HTTP.
#[derive(Clone)]
pub struct ProxyServer {
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<HeaderValue>,
    /// Where the proxy itself may be. The operator's may be anywhere.
    pub guard: AddressGuard,
}

#[derive(Debug, thiserror::Error)]
pub enum ProxyTunnelError {
    #[error("the proxy answered {0}")]
    Refused(u16),
    #[error("the proxy gave no HTTP answer")]
    NotHttp,
    #[error("the connection to the proxy broke: {0}")]
    Broken(#[from] io::Error),
}

/// The proxies of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
#[derive(Debug)]
pub struct ProxySettings(Matcher);

impl ProxySettings {
    /// Each as the variable has it; empty: none.
    #[must_use]
    pub fn new(http: &str, https: &str, exceptions: &str) -> Self {
        Self(Matcher::builder().http(http.to_owned()).https(https.to_owned()).no(exceptions.to_owned()).build())
    }

    #[must_use]
    pub fn none() -> Self {
        Self::new("", "", "")
    }

    /// Whether a value of `HTTP_PROXY` names a proxy that speaks HTTP. The scheme may be missing.
    #[must_use]
    pub fn is_usable(proxy: &str) -> bool {
        let target = http::Uri::from_static("http://receiver.invalid/");
        let proxy = Matcher::builder().http(proxy.to_owned()).build().intercept(&target);
        proxy.is_some_and(|proxy| proxy.uri().scheme_str() == Some("http") && proxy.uri().host().is_some())
    }

    /// The operator's proxy for a URL.
    #[must_use]
    pub fn proxy_for(&self, url: &Url) -> Option<ProxyServer> {
        let intercepted = self.0.intercept(&url.as_str().parse().ok()?)?;
        let uri = intercepted.uri();
        Some(ProxyServer {
            host: uri.host()?.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            authorization: intercepted.basic_auth().cloned(),
            guard: AddressGuard::admits_all(),
        })
    }
}

impl ProxyServer {
    /// An endpoint's own proxy, `http://user:password@host:port`. None: it is no such URL.
    #[must_use]
    pub fn from_url(url: &Url, guard: AddressGuard) -> Option<Self> {
        if url.scheme() != "http" {
            return None;
        }
        Some(Self {
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
            authorization: basic_authorization(url),
            guard,
        })
    }
}

fn basic_authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let mut credentials = decoded(url.username());
    credentials.push(b':');
    credentials.extend(decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Asks the proxy for a connection to `host` (RFC 9110, 9.3.6).
pub async fn open_tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    host: &str,
    port: u16,
    proxy: &ProxyServer,
) -> Result<(), ProxyTunnelError> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    // Byte by byte: what follows the head belongs to TLS.
    let mut head = Vec::with_capacity(128);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(ProxyTunnelError::NotHttp);
        }
        head.push(stream.read_u8().await?);
    }
    let status = head.split(|&byte| byte == b' ').nth(1).and_then(|status| std::str::from_utf8(status).ok());
    match status.and_then(|status| status.trim().parse::<u16>().ok()) {
        Some(200..=299) if head.starts_with(b"HTTP/1.") => Ok(()),
        Some(status) if head.starts_with(b"HTTP/1.") => Err(ProxyTunnelError::Refused(status)),
        Some(_) | None => Err(ProxyTunnelError::NotHttp),
    }
}
