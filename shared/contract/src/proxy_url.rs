//! The URL of a proxy through which a session reaches WhatsApp. It may hold a password, so it is never shown whole.

use crate::endpoint::mask_password;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use url::Url;

/// `http://`, `https://` or `socks5://`, with user and password if the proxy wants them. `Debug` and `Display` mask the
/// password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProxyUrl(Url);

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// HTTP's CONNECT.
    Http,
    /// HTTP's CONNECT inside TLS.
    Https,
    /// SOCKS 5; the proxy resolves names.
    Socks5,
}

/// The text is no URL of a proxy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a proxy's URL, as http://user:password@host:8080, https://… or socks5://…, with nothing behind the port"
)]
pub struct InvalidProxyUrl;

impl ProxyUrl {
    #[must_use]
    pub fn scheme(&self) -> ProxyScheme {
        match self.0.scheme() {
            "https" => ProxyScheme::Https,
            "socks5" => ProxyScheme::Socks5,
            _ => ProxyScheme::Http,
        }
    }

    /// A name or an address; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or(match self.scheme() {
            ProxyScheme::Http => 80,
            ProxyScheme::Https => 443,
            ProxyScheme::Socks5 => 1080,
        })
    }

    /// User and password, decoded; none if the URL has no user.
    #[must_use]
    pub fn credentials(&self) -> Option<(String, String)> {
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = Some(self.0.username()).filter(|user| !user.is_empty())?;
        Some((decoded(user), decoded(self.0.password().unwrap_or_default())))
    }

    /// The whole URL, with its password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }

    /// The URL with `••••` for the password.
    #[must_use]
    pub fn masked(&self) -> String {
        mask_password(self.0.as_str())
    }
}

impl FromStr for ProxyUrl {
    type Err = InvalidProxyUrl;

    fn from_str(text: &str) -> Result<Self, InvalidProxyUrl> {
        let url = Url::parse(text).map_err(|_| InvalidProxyUrl)?;
        let is_scheme = matches!(url.scheme(), "http" | "https" | "socks5");
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        // A password without a user is a mistake.
        let has_user = url.password().is_none() || !url.username().is_empty();
        if is_scheme && has_host && is_bare && has_user { Ok(Self(url)) } else { Err(InvalidProxyUrl) }
    }
}

impl TryFrom<String> for ProxyUrl {
    type Error = InvalidProxyUrl;

    fn try_from(text: String) -> Result<Self, InvalidProxyUrl> {
        text.parse()
    }
}

impl From<ProxyUrl> for String {
    fn from(url: ProxyUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_are_read_and_everything_else_is_refused() {
        for (text, scheme, host, port) in [
            ("http://proxy:3128", ProxyScheme::Http, "proxy", 3128),
            ("http://proxy/", ProxyScheme::Http, "proxy", 80),
            ("https://proxy.example.org", ProxyScheme::Https, "proxy.example.org", 443),
            ("socks5://127.0.0.1", ProxyScheme::Socks5, "127.0.0.1", 1080),
            ("socks5://[::1]:9", ProxyScheme::Socks5, "::1", 9),
        ] {
            let url: ProxyUrl = text.parse().expect(text);
            assert_eq!((url.scheme(), url.host(), url.port(), url.credentials()), (scheme, host, port, None), "{text}");
        }
        for wrong in [
            "",
            "proxy:3128",
            "ftp://proxy",
            "socks4://proxy",
            "http://",
            "http://proxy/path",
            "http://proxy?a=b",
            "http://proxy#a",
            "http://:secret@proxy",
            "file:///etc/passwd",
        ] {
            assert_eq!(wrong.parse::<ProxyUrl>(), Err(InvalidProxyUrl), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_used_and_never_shown() {
        let url: ProxyUrl = "socks5://me:s%40cret@proxy".parse().expect("a URL");
        assert_eq!(url.credentials(), Some(("me".to_owned(), "s@cret".to_owned())));
        let shown = format!("{url} {url:?}");
        assert!(!shown.contains("cret") && shown.contains("me:••••@proxy"), "{shown}");
        let stored = serde_json::to_string(&url).expect("JSON");
        assert_eq!(serde_json::from_str::<ProxyUrl>(&stored).expect("as stored"), url);
    }
}
