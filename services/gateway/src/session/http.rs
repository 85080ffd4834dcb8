//! The HTTP client with which the WhatsApp client moves files. Every wait has a deadline.
//!
//! The library's own agent has no timeouts, and each request holds a thread, which a stalling media server would hold
//! forever. The caller bounds the time of a whole file; this module bounds each wait.

use super::{guarded_http::GuardedHttpClient, whatsapp_hosts::WhatsappHosts};
use anyhow::Context as _;
use kurir_contract::proxy_url::{ProxyScheme, ProxyUrl};
use std::time::Duration;
use ureq::{
    Proxy, ProxyProtocol,
    config::Config,
    tls::{RootCerts, TlsConfig},
};

/// A resolver answers in milliseconds, or is asked once more.
const RESOLVED_WITHIN: Duration = Duration::from_secs(10);
/// For all addresses of a server and the TLS handshake together.
const CONNECTED_WITHIN: Duration = Duration::from_secs(15);
/// When no byte moves for this long, the server stalls. A large upload is answered after the server has stored it.
const SILENCE: Duration = Duration::from_secs(30);
/// Bounds a server that sends a byte now and then. 100 MB take this long at 30 kB/s.
const WHOLE: Duration = Duration::from_secs(3_600);
/// The library's defaults for buffers and kept connections.
const BUFFER: usize = 16 * 1024;
const IDLE_CONNECTIONS: usize = 3;
const IDLE_CONNECTIONS_OF_A_HOST: usize = 2;

/// The HTTP client for a WhatsApp client. It connects to these hosts only, and with a proxy only through it.
///
/// # Errors
/// If the proxy's URL cannot be used.
pub fn http_client(hosts: WhatsappHosts, proxy: Option<&ProxyUrl>) -> anyhow::Result<GuardedHttpClient> {
    let proxy = proxy.map(proxy_of).transpose()?;
    Ok(GuardedHttpClient::new(config(SILENCE, proxy), hosts))
}

/// The proxy resolves the names of the hosts.
fn proxy_of(url: &ProxyUrl) -> anyhow::Result<Proxy> {
    let protocol = match url.scheme() {
        ProxyScheme::Http => ProxyProtocol::Http,
        ProxyScheme::Https => ProxyProtocol::Https,
        ProxyScheme::Socks5 => ProxyProtocol::Socks5h,
    };
    let host = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    let mut proxy = Proxy::builder(protocol).host(&host).port(url.port());
    if let Some((user, password)) = url.credentials() {
        proxy = proxy.username(&user).password(&password);
    }
    proxy.build().with_context(|| format!("the proxy {url} cannot be used for files"))
}

fn config(silence: Duration, proxy: Option<Proxy>) -> Config {
    let config = Config::builder();
    // An operator's proxy may have a certificate of an authority that only this machine trusts.
    let trusts_machine = proxy.as_ref().is_some_and(|proxy| proxy.protocol() == ProxyProtocol::Https);
    let roots = if trusts_machine { RootCerts::PlatformVerifier } else { RootCerts::WebPki };
    let config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    // Without one of the session's own, the variables HTTPS_PROXY and ALL_PROXY count, as before.
    let config = if proxy.is_some() { config.proxy(proxy) } else { config };
    let config = config
        .timeout_resolve(Some(RESOLVED_WITHIN))
        .timeout_connect(Some(CONNECTED_WITHIN))
        .timeout_per_read(Some(silence))
        .timeout_per_write(Some(silence))
        .timeout_per_call(Some(WHOLE))
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        // A redirect may lead anywhere.
        .max_redirects(0)
        .max_idle_connections(IDLE_CONNECTIONS)
        .max_idle_connections_per_host(IDLE_CONNECTIONS_OF_A_HOST);
    // The simulator's media store has a certificate of its own.
    #[cfg(feature = "simulator")]
    let config = config.tls_config(TlsConfig::builder().disable_verification(true).build());
    config.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };
    use ureq::{Agent, Error, Timeout};

    fn http_agent(silence: Duration) -> Agent {
        config(silence, None).into()
    }

    /// Serves one connection: reads one byte, writes this answer, and then does nothing.
    fn stalls(answer: &'static [u8]) -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/", listener.local_addr()?);
        thread::spawn(move || {
            let (mut connection, _) = listener.accept()?;
            connection.read_exact(&mut [0])?;
            connection.write_all(answer)?;
            // The connection stays open.
            thread::park();
            std::io::Result::Ok(())
        });
        Ok(url)
    }

    fn is_of(error: &Error, timeout: Timeout) -> bool {
        matches!(error, Error::Timeout(of) if *of == timeout)
    }

    #[test]
    fn a_server_that_stalls_is_left_in_whichever_part_it_does() -> anyhow::Result<()> {
        let agent = http_agent(Duration::from_millis(200));
        let silent = agent.get(stalls(b"")?).call();
        assert!(silent.as_ref().is_err_and(|error| is_of(error, Timeout::PerRead)), "{silent:?}");
        let mut half = agent.get(stalls(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?).call()?;
        let body = half.body_mut().read_to_vec();
        assert!(body.as_ref().is_err_and(|error| is_of(error, Timeout::PerRead)), "{body:?}");
        // More than the buffers on the way hold.
        let deaf = agent.post(stalls(b"")?).send(vec![0; 64 * 1024 * 1024].as_slice());
        assert!(deaf.as_ref().is_err_and(|error| is_of(error, Timeout::PerWrite)), "{deaf:?}");
        Ok(())
    }

    #[test]
    fn the_client_has_an_end_for_each_wait() {
        let agent = http_agent(SILENCE);
        let timeouts = agent.config().timeouts();
        assert_eq!(timeouts.resolve, Some(RESOLVED_WITHIN));
        assert_eq!((timeouts.connect, timeouts.per_call), (Some(CONNECTED_WITHIN), Some(WHOLE)));
        assert_eq!(agent.config().timeout_per_read(), Some(SILENCE));
        assert_eq!(agent.config().timeout_per_write(), Some(SILENCE));
    }
}
