//! Which certificates of receivers are trusted: those of this machine's authorities, and what the operator put into
//! `WEBHOOK_CA_FILE`, authorities or the receivers' own certificates.

use anyhow::Context as _;
use kurir_contract::endpoint::ClientCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;
use std::{fs, path::Path, sync::Arc};

/// Certificates that the operator trusts besides those of the machine.
#[derive(Clone, Debug, Default)]
pub struct TrustedCertificates(Vec<CertificateDer<'static>>);

impl TrustedCertificates {
    /// Reads a file of certificates in PEM form, or one in DER form.
    ///
    /// # Errors
    /// If the file cannot be read or holds nothing that can be trusted; the text says what to do.
    pub fn read(file: &Path) -> Result<Self, String> {
        let path = file.display();
        let bytes = fs::read(file).map_err(|error| format!("{path} cannot be read: {error}"))?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{path} is no file of certificates in PEM form: {error}"))?;
        if certificates.is_empty() {
            let der = CertificateDer::from(bytes.clone());
            if is_usable(&der) {
                return Ok(Self(vec![der]));
            }
            let has_key = bytes.windows(11).any(|part| part == b"PRIVATE KEY");
            let what = if has_key { "holds a private key and no certificate" } else { "holds no certificate" };
            return Err(format!("{path} {what}: write PEM, which begins with -----BEGIN CERTIFICATE-----"));
        }
        for (number, certificate) in certificates.iter().enumerate() {
            if !is_usable(certificate) {
                return Err(format!(
                    "certificate {} of {path} is damaged or of a form that TLS does not use",
                    number + 1
                ));
            }
        }
        Ok(Self(certificates))
    }
}

fn is_usable(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

/// The chain and the key of an endpoint's own certificate.
///
/// # Errors
/// What is wrong with them; the key is not part of the text.
pub fn parse_client_certificate(
    own: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), &'static str> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(own.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| "its client certificate is not in PEM form")?;
    if chain.is_empty() {
        return Err("its client certificate holds no certificate in PEM form");
    }
    let key = PrivateKeyDer::from_pem_slice(own.private_key.as_bytes())
        .map_err(|_| "the key of its client certificate is not in PEM form")?;
    Ok((chain, key))
}

/// Verifies receivers' certificates.
#[derive(Debug)]
pub struct ReceiverVerifier {
    authorities: Verifier,
    own: TrustedCertificates,
}

impl ReceiverVerifier {
    /// # Errors
    /// If there is no certificate to trust.
    pub fn new(own: TrustedCertificates, provider: Arc<CryptoProvider>) -> anyhow::Result<Self> {
        let authorities = Verifier::new_with_extra_roots(own.0.iter().cloned(), provider)
            .context("failed to find certificates to trust: install ca-certificates, or set WEBHOOK_CA_FILE")?;
        Ok(Self { authorities, own })
    }

    /// Whether the operator trusts this very certificate. It needs no authority, and may be one itself: openssl makes
    /// self-signed certificates so. A certificate that names no host is for the host whose key it holds.
    fn is_own(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
        if !self.own.0.iter().any(|own| own == certificate) {
            return false;
        }
        match ParsedCertificate::try_from(certificate).map(|parsed| verify_server_name(&parsed, name)) {
            Ok(Ok(())) => true,
            Ok(Err(TlsError::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))) => {
                presented.is_empty()
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

impl ServerCertVerifier for ReceiverVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.is_own(end_entity, server_name) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::path::PathBuf;

    fn written(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_file_of_certificates_is_read_in_each_usual_form_and_anything_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pem = certificate.pem();
        for (name, content) in [
            ("plain", pem.clone().into_bytes()),
            ("windows", pem.replace('\n', "\r\n").into_bytes()),
            ("with text and a key", format!("subject=a\n{}{pem}{pem}", key.serialize_pem()).into_bytes()),
            ("der", certificate.der().to_vec()),
        ] {
            assert!(TrustedCertificates::read(&written(folder.path(), name, &content)).is_ok(), "{name}");
        }
        for (name, content, expected) in [
            ("empty", Vec::new(), "holds no certificate"),
            ("key", key.serialize_pem().into_bytes(), "holds a private key and no certificate"),
            ("no pem", b"{\"a\": 1}".to_vec(), "holds no certificate"),
            ("cut", pem.as_bytes()[..pem.len() / 2].to_vec(), "PEM"),
            ("damaged", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(), "certificate 1"),
        ] {
            let refused = TrustedCertificates::read(&written(folder.path(), name, &content)).unwrap_err();
            assert!(refused.contains(expected), "{name}: {refused}");
        }
        for path in [folder.path(), Path::new("/nowhere.pem")] {
            assert!(TrustedCertificates::read(path).unwrap_err().contains("cannot be read"));
        }
    }
}
