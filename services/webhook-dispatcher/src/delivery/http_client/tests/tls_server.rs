//! An https receiver with a certificate of its own authority. It answers with the HTTP version of the request.

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{
    convert::Infallible,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::NamedTempFile;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

pub struct TlsServer {
    pub address: SocketAddr,
    /// The authority's certificate in PEM form.
    pub authority: NamedTempFile,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Version>>>,
    serving: JoinHandle<()>,
}

impl TlsServer {
    /// `name`: the name in the certificate. `protocols`: what the server offers, in order of preference.
    pub async fn start(name: &str, protocols: &[&str]) -> Self {
        let (tls, authority) = acceptor(name, protocols);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connections, requests) = (Arc::default(), Arc::default());
        Self {
            address: listener.local_addr().unwrap(),
            authority,
            connections: Arc::clone(&connections),
            requests: Arc::clone(&requests),
            serving: tokio::spawn(serve(listener, tls, connections, requests)),
        }
    }

    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/webhook", self.address.port())
    }

    /// The path at which the server closes the connection instead of answering.
    pub fn hanging_up(&self) -> String {
        format!("https://localhost:{}/hang-up", self.address.port())
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Version> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Accepts TLS with a certificate for `name`, and the file of its authority.
pub fn acceptor(name: &str, protocols: &[&str]) -> (TlsAcceptor, NamedTempFile) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(root.pem().as_bytes()).unwrap();

    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), file)
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Version>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, connections, requests) = (tls.clone(), Arc::clone(&connections), Arc::clone(&requests));
        tokio::spawn(connection(stream, tls, connections, requests));
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Version>>>,
) {
    // A client that does not trust the certificate ends here.
    let Ok(stream) = tls.accept(stream).await else { return };
    connections.fetch_add(1, Ordering::SeqCst);
    let hung_up = Arc::new(Notify::new());
    let hang_up = Arc::clone(&hung_up);
    let service = service_fn(move |request: Request<Incoming>| {
        let (requests, hang_up) = (Arc::clone(&requests), Arc::clone(&hang_up));
        async move {
            if request.uri().path() == "/hang-up" {
                hang_up.notify_one();
                std::future::pending::<()>().await;
            }
            requests.lock().unwrap().push(request.version());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::new(body)))
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        () = hung_up.notified() => {}
    }
}
