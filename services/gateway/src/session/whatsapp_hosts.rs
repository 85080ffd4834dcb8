//! The hosts that the gateway's HTTP client may speak to: WhatsApp's own.
//!
//! Each URL, path and host that comes in a message is its sender's choice. Without this list a message would make the
//! gateway fetch any address of its own network, or hand the account's media token to a stranger's host. Only a gateway
//! for the simulator knows further hosts: those that the simulator names as its media hosts.

use kurir_contract::address_guard::{NetworkList, forbidden_kind};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};
use ureq::http::Uri;

/// WhatsApp's domains, each with all names below it: `mmg.whatsapp.net` and its like hold media, `static.whatsapp.net`
/// stickers, `web.whatsapp.com` the newest version.
const DOMAINS: [&str; 2] = ["whatsapp.net", "whatsapp.com"];
const HTTPS: u16 = 443;
/// WhatsApp's own have fewer than 300 bytes.
const LONGEST_DIRECT_PATH: usize = 2_048;

/// The hosts that may be spoken to. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct WhatsappHosts {
    /// `host:port` of the simulator's media hosts; always empty in a released gateway.
    simulated: Arc<RwLock<BTreeSet<String>>>,
}

/// A URL, a path or an address that is not WhatsApp's. The text names no part of it, since a URL may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWhatsapp {
    #[error("the address is no URL")]
    NoUrl,
    #[error("the URL is not https")]
    NotHttps,
    #[error("the host is none of WhatsApp's")]
    ForeignHost,
    #[error("the host's address is {0}")]
    ForbiddenAddress(&'static str),
}

impl WhatsappHosts {
    /// Checks a URL before it is requested.
    ///
    /// # Errors
    /// If the URL does not lead to WhatsApp over https.
    pub fn check_url(&self, url: &str) -> Result<(), NotWhatsapp> {
        // The HTTP client parses URLs with the same code, so the two see the same host.
        let uri: Uri = url.parse().map_err(|_| NotWhatsapp::NoUrl)?;
        if uri.scheme_str() != Some("https") {
            return Err(NotWhatsapp::NotHttps);
        }
        let authority = uri.authority().ok_or(NotWhatsapp::NoUrl)?;
        if self.has_authority(authority.as_str()) { Ok(()) } else { Err(NotWhatsapp::ForeignHost) }
    }

    /// Whether this is `host` or `host:port` of WhatsApp, without a user in front.
    #[must_use]
    pub fn has_authority(&self, authority: &str) -> bool {
        if self.is_simulated(authority) {
            return true;
        }
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.parse() == Ok(HTTPS) => host,
            Some(_) => return false,
            None => authority,
        };
        DOMAINS.iter().any(|domain| is_within(host, domain))
    }

    /// Checks where a name leads, at each connection.
    ///
    /// # Errors
    /// If the address is one that only this machine or its network can reach.
    pub fn check_address(&self, authority: &str, address: IpAddr) -> Result<(), NotWhatsapp> {
        if self.is_simulated(authority) {
            return Ok(());
        }
        forbidden_kind(address, &NetworkList::default()).map_or(Ok(()), |kind| Err(NotWhatsapp::ForbiddenAddress(kind)))
    }

    fn is_simulated(&self, authority: &str) -> bool {
        self.simulated.read().unwrap_or_else(PoisonError::into_inner).contains(authority)
    }

    /// Learns the media hosts that the simulator's answer names. A released gateway never does.
    #[cfg(feature = "simulator")]
    pub fn learn_simulated(&self, stanza: &whatsapp_rust::OwnedNodeRef) {
        let Some(answer) = stanza.get().get_optional_child("media_conn") else { return };
        let hosts = answer.get_children_by_tag("host").filter_map(|host| host.get_attr("hostname"));
        let mut simulated = self.simulated.write().unwrap_or_else(PoisonError::into_inner);
        simulated.extend(hosts.map(|host| host.as_str().into_owned()));
    }
}

/// Whether `host` is `domain` or a name below it. The labels consist of letters, digits, hyphens and dots, so a user, a
/// port or a bracket makes it another host.
fn is_within(host: &str, domain: &str) -> bool {
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.') {
        return false;
    }
    let host = host.to_ascii_lowercase();
    host == domain || host.strip_suffix(domain).is_some_and(|above| above.ends_with('.'))
}

/// Whether a message's `directPath` stays a path behind whatever host it is joined to.
#[must_use]
pub fn is_path(direct_path: &str) -> bool {
    direct_path.len() <= LONGEST_DIRECT_PATH
        && direct_path.starts_with('/')
        && direct_path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_on_whatsapps_own_hosts_is_requested() {
        let hosts = WhatsappHosts::default();
        for url in [
            "https://mmg.whatsapp.net/v/t62.7118-24/1.enc?ccb=11-4&oh=01&oe=02",
            "https://media-cgk1-1.cdn.whatsapp.net:443/v/1",
            "https://MMG.WhatsApp.net/v/1",
            "https://web.whatsapp.com/sw.js",
        ] {
            assert_eq!(hosts.check_url(url), Ok(()), "{url}");
        }
        for (url, expected) in [
            ("http://mmg.whatsapp.net/v/1", NotWhatsapp::NotHttps),
            ("ftp://mmg.whatsapp.net/v/1", NotWhatsapp::NotHttps),
            ("https://mmg.whatsapp.net@127.0.0.1:9000/steal", NotWhatsapp::ForeignHost),
            ("https://127.0.0.1@mmg.whatsapp.net/steal", NotWhatsapp::ForeignHost),
            ("https://mmg.whatsapp.net.example.org/", NotWhatsapp::ForeignHost),
            ("https://evilwhatsapp.net/", NotWhatsapp::ForeignHost),
            ("https://mmg.whatsapp.net:8443/", NotWhatsapp::ForeignHost),
            ("https://mmg.whatsapp.net./", NotWhatsapp::ForeignHost),
            ("https://127.0.0.1/", NotWhatsapp::ForeignHost),
            ("https://[::1]/", NotWhatsapp::ForeignHost),
            ("https://2130706433/", NotWhatsapp::ForeignHost),
            ("/v/1", NotWhatsapp::NotHttps),
            ("https://", NotWhatsapp::NoUrl),
            ("", NotWhatsapp::NoUrl),
        ] {
            assert_eq!(hosts.check_url(url), Err(expected), "{url}");
        }
    }

    #[test]
    fn a_host_of_whatsapp_must_not_lead_into_this_network() {
        let hosts = WhatsappHosts::default();
        for (address, is_allowed) in
            [("157.240.13.60", true), ("127.0.0.1", false), ("169.254.169.254", false), ("::ffff:10.0.0.1", false)]
        {
            let checked = hosts.check_address("mmg.whatsapp.net", address.parse().expect("an address"));
            assert_eq!(checked.is_ok(), is_allowed, "{address}: {checked:?}");
        }
    }

    #[test]
    fn a_direct_path_cannot_change_the_host() {
        for path in ["/v/t62.7118-24/1.enc?ccb=11-4&oh=01_Q5&oe=02&_nc_sid=5e03e0", "//example.org/x"] {
            assert!(is_path(path), "{path}");
            let uri: Uri = format!("https://mmg.whatsapp.net{path}?token=1").parse().expect("a URL");
            assert_eq!(uri.host(), Some("mmg.whatsapp.net"));
        }
        for path in
            ["", "v/1", "@127.0.0.1:9000/steal", ".example.org/x", ":8443/x", "/a b", "/a\r\nHost: b", "/a\\b", "/ü"]
        {
            assert!(!is_path(path), "{path:?}");
        }
    }
}
