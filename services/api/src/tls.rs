//! TLS of the API's listener, with a certificate of the operator's. It is read again when its files change, so that a renewal
//! needs no restart; while the files do not fit together, the certificate that was read before stays.

use crate::{connection::answer_and_close, connection_stream::whole_answer};
use kurir_chassis::{metrics::MetricsRegistry, settings::SettingProblem, shutdown::CancellationToken};
use prometheus_client::metrics::gauge::Gauge;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// From the connection to the end of the handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The first byte of a TLS connection: a record of the handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;
const FOR_PLAIN_HTTP: &str = "This port speaks HTTPS: write https:// instead of http://";

/// Where the certificate is. Without these the API speaks plain HTTP.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CertificateSettings {
    /// The API's certificate with its chain (PEM): the API speaks HTTPS only. Needs `TLS_KEY_FILE`; both are read again when they
    /// change.
    #[arg(long, env = "TLS_CERT_FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// The private key (PEM) of the API's certificate.
    #[arg(long, env = "TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,
}

impl CertificateSettings {
    /// The settings that cannot work.
    pub fn problems(&self) -> Vec<SettingProblem> {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => vec![SettingProblem::new("TLS_KEY_FILE", "it is missing: TLS_CERT_FILE needs it")],
            (None, Some(_)) => vec![SettingProblem::new("TLS_CERT_FILE", "it is missing: TLS_KEY_FILE needs it")],
            (None, None) | (Some(_), Some(_)) => {
                let read = self.read().map(|files| files.and_then(|files| files.parse()));
                read.and_then(Result::err).into_iter().collect()
            }
        }
    }

    /// None without a certificate in the settings.
    fn read(&self) -> Option<Result<CertificateFiles, SettingProblem>> {
        let (certificate, key) = self.tls_cert_file.as_ref().zip(self.tls_key_file.as_ref())?;
        Some(CertificateFiles::read(certificate, key))
    }
}

/// What the two files hold at this moment.
#[derive(PartialEq, Eq)]
struct CertificateFiles {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    fn read(certificate: &Path, key: &Path) -> Result<Self, SettingProblem> {
        let read = |variable, path: &Path| {
            let fix = |error| SettingProblem::new(variable, format!("{} cannot be read: {error}", path.display()));
            fs::read(path).map_err(fix)
        };
        Ok(Self { certificate: read("TLS_CERT_FILE", certificate)?, key: read("TLS_KEY_FILE", key)? })
    }

    /// When the API's own certificate expires, in seconds since 1970; 0 if it does not say so in good form.
    fn expiry(&self) -> i64 {
        let own = CertificateDer::pem_slice_iter(&self.certificate).next().and_then(Result::ok);
        let parsed = own.as_ref().and_then(|own| X509Certificate::from_der(own).ok());
        parsed.map_or(0, |(_, certificate)| certificate.validity().not_after.timestamp())
    }

    fn parse(&self) -> Result<Arc<ServerConfig>, SettingProblem> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| SettingProblem::new("TLS_CERT_FILE", "the file is no PEM"))?;
        if chain.is_empty() {
            return Err(SettingProblem::new(
                "TLS_CERT_FILE",
                "the file holds no certificate: PEM begins with -----BEGIN CERTIFICATE-----",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| {
            SettingProblem::new("TLS_KEY_FILE", "the file holds no private key in PEM form without a passphrase")
        })?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|config| config.with_no_client_auth())
            .and_then(|config| config.with_single_cert(chain, key));
        let mut config = config.map_err(|error| {
            SettingProblem::new("TLS_KEY_FILE", format!("the certificate and the key cannot be used: {error}"))
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The certificate that new connections get.
pub struct TlsCertificate {
    settings: CertificateSettings,
    current: RwLock<CurrentCertificate>,
    expiry: Gauge,
}

struct CurrentCertificate {
    /// What was looked at last, whether or not it could be used.
    seen: CertificateFiles,
    config: Arc<ServerConfig>,
}

impl TlsCertificate {
    /// None without a certificate in the settings.
    ///
    /// # Errors
    /// If it cannot be read: it could when the settings were checked.
    pub fn read(settings: &CertificateSettings) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(read) = settings.read() else { return Ok(None) };
        let current = read.and_then(|seen| Ok(CurrentCertificate { config: seen.parse()?, seen }));
        match current {
            Ok(current) => {
                let expiry = Gauge::default();
                expiry.set(current.seen.expiry());
                Ok(Some(Arc::new(Self { settings: settings.clone(), current: RwLock::new(current), expiry })))
            }
            Err(SettingProblem { variable, fix }) => anyhow::bail!("{variable}: {fix}"),
        }
    }

    /// Serves the end of the certificate's validity as a metric.
    pub fn declare_metrics(&self, metrics: &MetricsRegistry) {
        metrics.declare_metrics(|registry| {
            let help = "When the certificate of TLS_CERT_FILE expires";
            registry.register("api_certificate_expiry_timestamp_seconds", help, self.expiry.clone());
        });
    }

    /// Takes a renewed certificate, until the shutdown.
    ///
    /// # Errors
    /// Never; the shape is that of a service's task.
    pub async fn follow(self: Arc<Self>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut looks = interval(LOOK_EVERY);
        while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
            // The two files are exchanged one after the other; a file that is not there will come.
            if let Some(Ok(found)) = self.settings.read() {
                self.renew(found);
            }
        }
        Ok(())
    }

    fn renew(&self, found: CertificateFiles) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if found == current.seen {
            return;
        }
        match found.parse() {
            Ok(config) => {
                current.config = config;
                self.expiry.set(found.expiry());
                tracing::info!("the API uses the new certificate of TLS_CERT_FILE");
            }
            Err(SettingProblem { variable, fix }) => tracing::warn!(
                "the API goes on with its earlier certificate, since the new one cannot be used: {variable}: {fix}"
            ),
        }
        current.seen = found;
    }

    /// What the handshake needs. A certificate that comes meanwhile is for the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config).into()
    }
}

/// Does the handshake; none if the peer speaks plain HTTP, which is told so, or is too slow.
///
/// # Errors
/// If the handshake fails, or the peer goes away.
pub async fn accept(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
    let accepting = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE_RECORD] {
            let answer = whole_answer("HTTP/1.1 400 Bad Request", "", "https_required", FOR_PLAIN_HTTP);
            answer_and_close(stream, &answer).await;
            return Ok(None);
        }
        acceptor.accept(stream).await.map(Some)
    };
    timeout(HANDSHAKE_WITHIN, accepting).await.unwrap_or(Ok(None))
}
