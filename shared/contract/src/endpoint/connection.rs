//! How an endpoint's receiver is reached, where that differs from the usual way: a proxy, a TLS server name, a client
//! certificate. And how a URL is shown that holds a password.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use url::Url;

/// Stands for a value that is not shown. No real value is this.
pub const MASK: &str = "••••";
/// A certificate with three that link it to its authority has some 8 kB.
const MAX_PEM: usize = 32 * 1024;
/// The length of a DNS name.
const MAX_SERVER_NAME: usize = 253;

/// The certificate that Kurir presents to a receiver, in PEM form. `Debug` does not show it. `Serialize` writes the key,
/// for the bucket only: an answer to a user must leave it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The certificate, then those that link it to its authority.
    pub certificate: String,
    pub private_key: String,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// A URL with [`MASK`] in place of its password.
#[must_use]
pub fn mask_password(url: &str) -> String {
    let Some(parsed) = Url::parse(url).ok().filter(|parsed| parsed.password().is_some()) else { return url.to_owned() };
    let rest = &url[url.find("://").map_or(0, |at| at + 3)..];
    // The authority ends with the first of these; its last `@` ends user and password.
    let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let host = authority.rfind('@').map_or(authority, |at| &authority[at + 1..]);
    format!("{}://{}:{MASK}@{host}{}", parsed.scheme(), parsed.username(), &rest[authority.len()..])
}

/// A URL in which [`MASK`] stands for the password, with the password of the stored one. None: there is no mask in it.
///
/// # Errors
/// If the stored URL has no password.
pub fn unmask_password(url: &str, stored: Option<&str>) -> Option<Result<String, String>> {
    let mut parsed = Url::parse(url).ok()?;
    let masked = mask_password(url);
    if parsed.password()? != encoded_mask() || !masked.contains(MASK) {
        return None;
    }
    let stored = stored.and_then(|stored| Url::parse(stored).ok());
    // A password goes to no other host than the one that it was written for.
    // The origin of a scheme that browsers do not know, as socks5, equals no other.
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let same_host = stored.as_ref().filter(|stored| place(stored) == place(&parsed));
    let Some(password) = same_host.and_then(Url::password).map(str::to_owned) else {
        return Some(Err(format!(
            "has no stored password for this host that {MASK} could stand for: write the password"
        )));
    };
    // It is refused only for URLs without a host, which have no password.
    let _ = parsed.set_password(Some(&password));
    Some(Ok(parsed.into()))
}

/// The mask as a URL has it.
fn encoded_mask() -> String {
    Url::parse(&format!("http://:{MASK}@mask.invalid/"))
        .ok()
        .and_then(|url| url.password().map(str::to_owned))
        .unwrap_or_default()
}

/// Parses `proxy`.
pub(super) fn parse_proxy(value: &Value) -> Result<Option<String>, String> {
    const RIGHT: &str = "write http://proxy.example.org:3128, with user:password@ if it asks";
    let text = value.as_str().ok_or("must be a string")?;
    let url = Url::parse(text.trim()).map_err(|error| format!("is no URL ({error}): {RIGHT}"))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        "http" if url.host_str().is_some_and(|host| !host.is_empty()) && is_bare => Ok(Some(url.into())),
        "http" => Err(format!("must have a host and nothing behind it: {RIGHT}")),
        other => Err(format!("begins with {other}:, only proxies that speak HTTP are supported: {RIGHT}")),
    }
}

/// Parses `tlsServerName`.
pub(super) fn parse_server_name(value: &Value) -> Result<Option<String>, String> {
    let name = value.as_str().ok_or("must be a string")?;
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_name = name.len() <= MAX_SERVER_NAME && name.trim_end_matches('.').split('.').all(is_label);
    if is_name { Ok(Some(name.to_owned())) } else { Err("must be a host's name, as hooks.example.org".to_owned()) }
}

/// Parses `clientCertificate`.
pub(super) fn parse_client_certificate(value: &Value) -> Result<Option<ClientCertificate>, String> {
    const RIGHT: &str = "must be an object with certificate and privateKey, both in PEM form";
    let fields = value.as_object().ok_or(RIGHT)?;
    if fields.len() != 2 {
        return Err(RIGHT.to_owned());
    }
    let pem = |name: &str, label: &str| {
        let text = fields.get(name).and_then(Value::as_str).ok_or(RIGHT)?;
        let is_pem = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(label);
        match text.len() {
            length if length > MAX_PEM => Err(format!("has a {name} of more than {MAX_PEM} bytes")),
            _ if text.lines().any(is_pem) && text.contains("-----END ") => Ok(text.to_owned()),
            _ => Err(format!("has a {name} that is not in PEM form, which begins with -----BEGIN … {label}")),
        }
    };
    let certificate = pem("certificate", "CERTIFICATE-----")?;
    Ok(Some(ClientCertificate { certificate, private_key: pem("privateKey", "PRIVATE KEY-----")? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_password_in_a_url_is_masked_and_nothing_else_changes() {
        for (url, shown) in [
            ("http://user:hunter2@example.org/a?b=c#d", "http://user:••••@example.org/a?b=c#d"),
            ("https://:hunter2@example.org", "https://:••••@example.org"),
            ("https://us%40er:p@ss@example.org:8443/x@y:z", "https://us%40er:••••@example.org:8443/x@y:z"),
            ("https://user@example.org/", "https://user@example.org/"),
            ("https://example.org/a:b@c", "https://example.org/a:b@c"),
            ("no URL", "no URL"),
        ] {
            assert_eq!(mask_password(url), shown);
        }
    }

    #[test]
    fn a_mask_that_comes_back_is_the_stored_password_for_the_same_host_only() {
        let stored = Some("https://user:p%40ss@example.org/old");
        let back = |url: &str, stored| unmask_password(url, stored);
        assert_eq!(
            back("https://user:••••@example.org/new", stored),
            Some(Ok("https://user:p%40ss@example.org/new".to_owned()))
        );
        assert!(back("https://user:••••@other.example/", stored).unwrap().is_err());
        assert!(back("https://user:••••@example.org/", None).unwrap().is_err());
        assert_eq!(back("https://user:new@example.org/", stored), None);
        assert_eq!(back("https://example.org/••••", stored), None);
    }

    #[test]
    fn what_cannot_be_used_to_reach_a_receiver_is_refused() {
        for good in ["http://proxy:3128", "http://user:word@proxy.example.org/"] {
            assert!(parse_proxy(&json!(good)).is_ok(), "{good}");
        }
        for bad in
            [json!("proxy:3128"), json!("socks5://proxy:1080"), json!("https://proxy"), json!("http://p/x"), json!(1)]
        {
            assert!(parse_proxy(&bad).is_err(), "{bad}");
        }
        for (name, good) in
            [("hooks.example.org", true), ("n8n_app", true), ("", false), ("a..b", false), ("a b", false)]
        {
            assert_eq!(parse_server_name(&json!(name)).is_ok(), good, "{name:?}");
        }
        let (certificate, key) = (
            "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\nA\n-----END PRIVATE KEY-----\n",
        );
        assert!(parse_client_certificate(&json!({"certificate": certificate, "privateKey": key})).is_ok());
        for bad in [json!("x"), json!({"certificate": certificate}), json!({"certificate": key, "privateKey": key})] {
            assert!(parse_client_certificate(&bad).is_err(), "{bad}");
        }
    }
}
