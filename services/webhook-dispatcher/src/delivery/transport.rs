//! What the connections to all endpoints share: the DNS cache, and the trusted certificates.
//!
//! There is one for each dispatcher: a machine has some hundred certificates, and an endpoint has none of its own.

use crate::delivery::resolver::DnsCache;
use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

/// What all connections share. A clone shares it, too.
#[derive(Clone)]
pub struct Transport(Arc<TransportInner>);

struct TransportInner {
    dns: DnsCache,
    /// The operator's own, besides the machine's.
    authorities: Vec<CertificateDer<'static>>,
    /// Made for the first endpoint on https. Until then no certificates are read.
    https: OnceLock<Arc<ClientConfig>>,
    http: Arc<ClientConfig>,
}

impl Transport {
    /// `ca_file`: certificates in PEM form (`WEBHOOK_CA_FILE`) that are trusted besides those of this machine.
    ///
    /// # Errors
    /// If the file cannot be read or holds no certificate.
    pub fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        Self::with_dns(DnsCache::from_system(), ca_file)
    }

    pub(super) fn with_dns(dns: DnsCache, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let authorities = ca_file.map(read_authorities).transpose()?.unwrap_or_default();
        // Never used for TLS. A receiver on http must not depend on certificates: a small image has none.
        let http = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Ok(Self(Arc::new(TransportInner { dns, authorities, https: OnceLock::new(), http: http.into() })))
    }

    pub(super) fn dns(&self) -> DnsCache {
        self.0.dns.clone()
    }

    /// # Errors
    /// If the URL is https and there is no certificate to trust.
    pub(super) fn tls(&self, url: &url::Url) -> anyhow::Result<Arc<ClientConfig>> {
        if url.scheme() == "http" {
            return Ok(Arc::clone(&self.0.http));
        }
        if let Some(https) = self.0.https.get() {
            return Ok(Arc::clone(https));
        }
        let builder = ClientConfig::builder();
        let verifier =
            Verifier::new_with_extra_roots(self.0.authorities.iter().cloned(), Arc::clone(builder.crypto_provider()))
                .context("failed to find certificates to trust: install ca-certificates, or set WEBHOOK_CA_FILE")?;
        // Only a verifier that does not verify is dangerous; this is the platform's.
        let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::clone(self.0.https.get_or_init(|| config.into())))
    }
}

fn read_authorities(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let what = || format!("failed to read the certificates of WEBHOOK_CA_FILE ({})", file.display());
    let authorities: Vec<_> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect).with_context(what)?;
    anyhow::ensure!(!authorities.is_empty(), "{}: it holds no certificate in PEM form", what());
    let mut usable = RootCertStore::empty();
    for authority in &authorities {
        usable.add(authority.clone()).with_context(what)?;
    }
    Ok(authorities)
}
