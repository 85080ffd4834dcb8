//! TLS in tests: certificates of an authority that no machine trusts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{io::Write as _, sync::Arc};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

/// An authority that no machine trusts, and the certificates that it issues.
pub struct TestAuthority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestAuthority {
    #[expect(clippy::new_without_default, reason = "a random key is no default")]
    pub fn new() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(authority, key) }
    }

    /// Accepts TLS with a certificate for `name`, and speaks these protocols.
    pub fn acceptor(&self, name: &str, protocols: &[&str]) -> TlsAcceptor {
        self.acceptor_with(&[name], protocols, |_| {})
    }

    /// As [`TestAuthority::acceptor`], with a certificate of these names and other changes.
    pub fn acceptor_with(
        &self,
        names: &[&str],
        protocols: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> TlsAcceptor {
        let (certificate, key) = self.issue(names, change);
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A certificate for these names or addresses, valid as the parameters say, and its key.
    pub fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        change(&mut parameters);
        (parameters.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// The authority's certificate in PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A file with the authority's certificate in PEM form.
    pub fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(self.pem.as_bytes()).unwrap();
        file
    }
}
