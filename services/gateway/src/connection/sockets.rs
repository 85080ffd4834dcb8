//! The sockets to WhatsApp: straight, or through the session's proxy, and then never without it.

use super::listener::ProxyAlarm;
use anyhow::Context as _;
use http::{HeaderValue, Uri, header::ORIGIN};
use kurir_chassis::proxy_tunnel::{basic_authorization, open_tunnel};
use kurir_contract::proxy_url::{ProxyScheme, ProxyUrl};
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
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
        let is_tls = uri.scheme_str() == Some("wss");
        let (host, port) = host_and_port(&uri)?;
        let tunnel = timeout(CONNECTED_WITHIN, connect_through(proxy, host, port)).await;
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

/// The host and the port of WhatsApp; with `url`, those of its simulator.
///
/// # Errors
/// If the URL is not valid or has no host.
pub fn whatsapp_address(url: Option<&str>) -> anyhow::Result<(String, u16)> {
    let uri: Uri = url.unwrap_or(WHATSAPP_WEB_WS_URL).parse().context("the URL of WhatsApp is not valid")?;
    let (host, port) = host_and_port(&uri)?;
    Ok((host.to_owned(), port))
}

fn host_and_port(uri: &Uri) -> anyhow::Result<(&str, u16)> {
    let host = uri.host().context("the URL of WhatsApp has no host")?.trim_matches(['[', ']']);
    Ok((host, uri.port_u16().unwrap_or(if uri.scheme_str() == Some("wss") { 443 } else { 80 })))
}

/// A connection to `host` through the proxy, which resolves the name.
async fn connect_through(proxy: &ProxyUrl, host: &str, port: u16) -> anyhow::Result<Box<dyn Stream>> {
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
            open_tunnel(&mut stream, host, port, authorization_of(proxy).as_ref()).await?;
            Ok(Box::new(stream))
        }
        ProxyScheme::Https => {
            let mut stream = begin_tls(proxy, stream).await.context("TLS with it failed")?;
            open_tunnel(&mut stream, host, port, authorization_of(proxy).as_ref()).await?;
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

fn authorization_of(proxy: &ProxyUrl) -> Option<HeaderValue> {
    let (user, password) = proxy.credentials()?;
    basic_authorization(user.as_bytes(), password.as_bytes())
}
