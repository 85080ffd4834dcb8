//! A tunnel through a proxy that speaks HTTP: its CONNECT (RFC 9110, 9.3.6).

use axum::http::HeaderValue;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A proxy says yes or no; its head has a few lines.
const MAX_HEAD: usize = 8 * 1024;

/// Why a proxy opened no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyTunnelError {
    #[error("the proxy wants another user or password (407)")]
    WrongLogin,
    #[error("the proxy answered {0}")]
    Refused(u16),
    #[error("the proxy gave no HTTP answer")]
    NotHttp,
    #[error("the connection to the proxy broke: {0}")]
    Broken(#[from] io::Error),
}

/// The value of `Proxy-Authorization`, which no log shows. None: it cannot stand in a header.
#[must_use]
pub fn basic_authorization(user: &[u8], password: &[u8]) -> Option<HeaderValue> {
    let credentials = BASE64_STANDARD.encode([user, b":", password].concat());
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Asks the proxy for a connection to `host`, a name or an address. The stream belongs to the host then.
///
/// # Errors
/// If the proxy refuses, or does not speak HTTP, or the connection to it breaks.
pub async fn open_tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    host: &str,
    port: u16,
    authorization: Option<&HeaderValue>,
) -> Result<(), ProxyTunnelError> {
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    let authority = if is_bare_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    // Byte by byte: what follows the head belongs to the host.
    let mut head = Vec::with_capacity(128);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(ProxyTunnelError::NotHttp);
        }
        head.push(stream.read_u8().await?);
    }
    let status = head.split(|&byte| byte == b' ').nth(1).and_then(|status| std::str::from_utf8(status).ok());
    match status.and_then(|status| status.trim().parse::<u16>().ok()).filter(|_| head.starts_with(b"HTTP/1.")) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(ProxyTunnelError::WrongLogin),
        Some(status) => Err(ProxyTunnelError::Refused(status)),
        None => Err(ProxyTunnelError::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the proxy is asked, and how its answer is taken.
    async fn ask(host: &str, answer: &'static [u8]) -> (String, Result<(), ProxyTunnelError>) {
        let (mut ours, mut proxy) = tokio::io::duplex(16 * 1024);
        let proxy = tokio::spawn(async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(proxy.read_u8().await.expect("a request"));
            }
            proxy.write_all(answer).await.expect("room");
            String::from_utf8(asked).expect("text")
        });
        let authorization = basic_authorization(b"me", b"secret").expect("a header");
        let opened = open_tunnel(&mut ours, host, 443, Some(&authorization)).await;
        (proxy.await.expect("no panic"), opened)
    }

    #[tokio::test]
    async fn a_proxy_is_asked_as_http_says_and_its_answer_is_told_apart() {
        for (host, authority) in [("example.org", "example.org:443"), ("::1", "[::1]:443"), ("[::1]", "[::1]:443")] {
            let (asked, opened) = ask(host, b"HTTP/1.1 200 Connection established\r\nA: b\r\n\r\n").await;
            let expected = format!(
                "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
            );
            assert!(opened.is_ok() && asked == expected, "{asked}");
        }
        for (answer, expected) in [
            (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], "(407)"),
            (b"HTTP/1.0 403 Forbidden\r\n\r\n", "answered 403"),
            (b"SSH-2.0-OpenSSH_9.2 200\r\n\r\n", "no HTTP answer"),
            (b"HTTP/1.1 20", "broke"),
        ] {
            let error = ask("example.org", answer).await.1.expect_err("no tunnel").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
