//! What the connections to all endpoints share: resolved names, trusted certificates, the operator's proxies.
//!
//! There is one for each dispatcher: a machine has some hundred certificates, which all endpoints share.

use crate::delivery::{
    http_client::proxy::ProxySettings,
    resolver::NameResolver,
    trust::{ReceiverVerifier, TrustedCertificates, parse_client_certificate},
};
use anyhow::Context as _;
use kurir_contract::endpoint::ClientCertificate;
use rustls::ClientConfig;
use std::sync::{Arc, OnceLock};

/// What all connections share. A clone shares it, too.
#[derive(Clone)]
pub struct Transport(Arc<TransportInner>);

struct TransportInner {
    resolver: NameResolver,
    /// The operator's own, besides the machine's.
    certificates: TrustedCertificates,
    proxies: ProxySettings,
    verifier: OnceLock<Arc<ReceiverVerifier>>,
    /// Made for the first endpoint on https. Until then no certificates are read: a small image has none.
    https: OnceLock<Arc<ClientConfig>>,
}

impl Transport {
    /// `certificates`: those of `WEBHOOK_CA_FILE`, which are trusted besides those of this machine.
    #[must_use]
    pub fn new(certificates: TrustedCertificates, proxies: ProxySettings) -> Self {
        Self::with_resolver(NameResolver::from_system(), certificates, proxies)
    }

    pub(super) fn with_resolver(
        resolver: NameResolver,
        certificates: TrustedCertificates,
        proxies: ProxySettings,
    ) -> Self {
        let (verifier, https) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(TransportInner { resolver, certificates, proxies, verifier, https }))
    }

    pub(super) fn resolver(&self) -> NameResolver {
        self.0.resolver.clone()
    }

    pub(super) fn proxies(&self) -> &ProxySettings {
        &self.0.proxies
    }

    /// `own`: the certificate that the endpoint presents.
    ///
    /// # Errors
    /// If there is no certificate to trust, or if the endpoint's own cannot be used.
    pub(super) fn tls(&self, own: Option<&ClientCertificate>) -> anyhow::Result<Arc<ClientConfig>> {
        if let (None, Some(https)) = (own, self.0.https.get()) {
            return Ok(Arc::clone(https));
        }
        let builder = ClientConfig::builder();
        let verifier = match self.0.verifier.get() {
            Some(verifier) => Arc::clone(verifier),
            None => {
                let provider = Arc::clone(builder.crypto_provider());
                let verifier = ReceiverVerifier::new(self.0.certificates.clone(), provider)?;
                Arc::clone(self.0.verifier.get_or_init(|| Arc::new(verifier)))
            }
        };
        // Only a verifier that does not verify is dangerous.
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match own {
            Some(own) => {
                let (chain, key) = parse_client_certificate(own).map_err(anyhow::Error::msg)?;
                builder.with_client_auth_cert(chain, key).context("its client certificate cannot be used")?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(match own {
            Some(_) => Arc::new(config),
            None => Arc::clone(self.0.https.get_or_init(|| config.into())),
        })
    }
}
