//! The sockets to WhatsApp: straight, or through the session's proxy, and then never without it.

use super::listener::ProxyAlarm;
use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri, header::ORIGIN};
use kurir_contract::proxy_url::{ProxyScheme, ProxyUrl};
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt as _;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_socks::tcp::Socks5Stream;
use tokio_websockets::ClientBuilder;
use wacore::net::{WHATSAPP_WEB_ORIGIN, WHATSAPP_WEB_WS_URL};
use whatsapp_rust::{
    async_channel::Receiver,
    transport::{
        TokioWebSocketTransportFactory, Transport, TransportEvent, TransportFactory as _, default_tls_connector,
        from_websocket,
    },
};

/// For the proxy's name, its connection, its TLS, and its connection to WhatsApp.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);
/// The head of a proxy's answer has a few lines.
const MAX_HEAD: usize = 8 * 1024;

/// Where WhatsApp is, and how it is reached.
pub struct WhatsappSockets {
    url: String,
    /// With whom a failure of the proxy is reported.
    proxy: Option<(ProxyUrl, ProxyAlarm)>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl WhatsappSockets {
    /// `url`: elsewhere than WhatsApp, for its simulator.
    #[must_use]
    pub fn new(url: Option<&str>, proxy: Option<ProxyUrl>, alarm: ProxyAlarm) -> Self {
        Self { url: url.unwrap_or(WHATSAPP_WEB_WS_URL).to_owned(), proxy: proxy.map(|proxy| (proxy, alarm)) }
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// If WhatsApp or the proxy cannot be reached, or refuses.
    pub async fn connect(&self) -> anyhow::Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        let Some((proxy, alarm)) = &self.proxy else {
            return TokioWebSocketTransportFactory::new().with_url(&self.url).create_transport().await;
        };
        let uri: Uri = self.url.parse().context("the URL of WhatsApp is not valid")?;
        let host = uri.host().context("the URL of WhatsApp has no host")?.trim_matches(['[', ']']);
        let is_tls = uri.scheme_str() == Some("wss");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tunnel = timeout(CONNECTED_WITHIN, open_tunnel(proxy, host, port)).await;
        let tunnel = tunnel.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not connect within 20 s")));
        let stream = tunnel.inspect_err(|error| alarm.raise(format!("the proxy {proxy} cannot be used: {error:#}")))?;
        let origin = HeaderValue::from_static(WHATSAPP_WEB_ORIGIN);
        let builder = ClientBuilder::from_uri(uri.clone()).add_header(ORIGIN, origin)?;
        let upgraded = async {
            if is_tls {
                let stream = default_tls_connector().wrap(host, stream).await.context("TLS with WhatsApp failed")?;
                let (socket, _) = builder.connect_on(stream).await.context("the WebSocket was not opened")?;
                anyhow::Ok(from_websocket(socket))
            } else {
                let (socket, _) = builder.connect_on(stream).await.context("the WebSocket was not opened")?;
                Ok(from_websocket(socket))
            }
        };
        timeout(CONNECTED_WITHIN, upgraded).await.context("WhatsApp did not answer within 20 s")?
    }
}

/// A connection to `host` through the proxy, which resolves the name.
async fn open_tunnel(proxy: &ProxyUrl, host: &str, port: u16) -> anyhow::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((proxy.host(), proxy.port())).await.context("failed to connect to it")?;
    stream.set_nodelay(true)?;
    match proxy.scheme() {
        ProxyScheme::Socks5 => {
            let target = (host, port);
            let opened = match proxy.credentials() {
                Some((user, password)) => {
                    Socks5Stream::connect_with_password_and_socket(stream, target, &user, &password).await
                }
                None => Socks5Stream::connect_with_socket(stream, target).await,
            };
            Ok(Box::new(opened.context("it opened no connection to WhatsApp")?))
        }
        ProxyScheme::Http => {
            let mut stream = stream;
            ask_for_tunnel(&mut stream, proxy, host, port).await?;
            Ok(Box::new(stream))
        }
        ProxyScheme::Https => {
            let mut stream = begin_tls(proxy, stream).await.context("TLS with it failed")?;
            ask_for_tunnel(&mut stream, proxy, host, port).await?;
            Ok(Box::new(stream))
        }
    }
}

/// An operator's proxy may have a certificate of an authority that only this machine trusts.
async fn begin_tls(proxy: &ProxyUrl, stream: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
    let config = ClientConfig::with_platform_verifier()?;
    let name = ServerName::try_from(proxy.host().to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// HTTP's CONNECT (RFC 9110, 9.3.6).
async fn ask_for_tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &ProxyUrl,
    host: &str,
    port: u16,
) -> anyhow::Result<()> {
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let authorization = proxy.credentials().map_or_else(String::new, |(user, password)| {
        format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{user}:{password}")))
    });
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let head = read_head(stream).await.context("it gave no HTTP answer")?;
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    match status {
        _ if !head.starts_with("HTTP/1.") => anyhow::bail!("it does not speak HTTP"),
        "407" => anyhow::bail!("it wants another user or password (407)"),
        status if status.len() == 3 && status.starts_with('2') => Ok(()),
        status => anyhow::bail!("it refused with {}", status.chars().take(3).collect::<String>()),
    }
}

/// Byte by byte: what follows the head belongs to WhatsApp.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut head = Vec::with_capacity(128);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its head is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
