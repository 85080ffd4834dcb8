//! Which proxy an endpoint has.

use crate::delivery::guard::AddressGuard;
use http::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use kurir_chassis::proxy_tunnel::basic_authorization;
use percent_encoding::percent_decode_str;
use url::Url;

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
            authorization: authorization_of(url),
            guard,
        })
    }
}

fn authorization_of(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    basic_authorization(&decoded(url.username()), &decoded(url.password().unwrap_or_default()))
}
