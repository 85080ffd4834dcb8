//! From a name to a connection: black holes, refusals, TLS that hangs, and whose phase a failure has.

use super::*;
use kurir_test_harness::Port;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use std::io::Write as _;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// An address whose connections are neither accepted nor refused: its queue is full.
struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _fillers: Vec<TcpStream>,
}

impl BlackHole {
    async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(Ok(filler)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            fillers.push(filler);
        }
        Self { address, _listener: listener, _fillers: fillers }
    }
}

#[tokio::test]
async fn a_black_hole_among_the_addresses_does_not_take_the_attempts_time() {
    let (receiver, names) = (Receiver::start().await, ScriptedNames::default());
    receiver.always(Scripted::status(200).header("connection", "close"));
    let port = receiver.addr().port();
    let _hole = BlackHole::at(SocketAddr::from(([127, 0, 0, 2], port))).await;
    let client = client(&format!("http://two.example:{port}/"), None, &names.transport());
    for addresses in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
        names.answer(&addresses);
        let began = Instant::now();
        assert_eq!(post(&client).await.unwrap().status, 200);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_port_that_is_closed_is_followed_by_the_next_address_at_once() {
    let (receiver, names) = (Receiver::start().await, ScriptedNames::default());
    names.answer(&["127.0.0.2", "127.0.0.3", "::1", "127.0.0.1"]);
    let client = client(&format!("http://many.example:{}/", receiver.addr().port()), None, &names.transport());
    assert_eq!(post(&client).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_answer_for_ipv4_does_not_wait_for_the_one_for_ipv6() {
    let receiver = Receiver::start().await;
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let look_up = move |host: &str, family| match family {
        AddressFamily::V4 => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]),
        AddressFamily::V6 | AddressFamily::Both => {
            let _ = blocked.lock().unwrap().recv();
            Err(ResolveError::NoSuchHost { host: host.to_owned() })
        }
    };
    let resolver = NameResolver::with_function(ResolverFiles::new(Vec::new()), CacheTimes::NONE, look_up);
    let transport = Transport::with_resolver(resolver, TrustedCertificates::default(), ProxySettings::none());
    let client = client(&format!("http://half.example:{}/", receiver.addr().port()), None, &transport);
    assert_eq!(post_within(&client, Duration::from_secs(2)).await.unwrap().status, 200);
    drop(release);
}

#[tokio::test]
async fn a_time_out_names_the_step_that_took_the_time() {
    let limit = Duration::from_millis(700);
    // Nobody answers the lookup.
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let look_up = move |host: &str, _| {
        let _ = blocked.lock().unwrap().recv();
        Err(ResolveError::NoSuchHost { host: host.to_owned() })
    };
    let resolver = NameResolver::with_function(ResolverFiles::new(Vec::new()), CacheTimes::NONE, look_up);
    let transport_without_dns =
        Transport::with_resolver(resolver, TrustedCertificates::default(), ProxySettings::none());
    for scheme in ["http", "https"] {
        let client = client(&format!("{scheme}://silent.example/"), None, &transport_without_dns);
        assert_eq!(failure_of(&client, limit).await, (FailureClass::Timeout, FailurePhase::Dns), "{scheme}");
    }
    drop(release);

    let hole = BlackHole::at(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    for scheme in ["http", "https"] {
        let client = client(&format!("{scheme}://{}/", hole.address), None, &transport(None));
        // Several at once: over TLS they wait for one connection.
        let failures = futures::future::join_all((0..4).map(|_| failure_of(&client, limit))).await;
        assert_eq!(failures, [(FailureClass::Timeout, FailurePhase::Connect); 4], "{scheme}");
    }

    // A server that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for (scheme, phase) in [("http", FailurePhase::ResponseHead), ("https", FailurePhase::Tls)] {
        let client = client(&format!("{scheme}://{address}/"), None, &transport(None));
        assert_eq!(failure_of(&client, limit).await, (FailureClass::Timeout, phase), "{scheme}");
    }
    let client = client(&format!("http://{address}/"), None, &transport(None));
    let large = Bytes::from(vec![b'.'; 32 << 20]);
    assert_eq!(post_body(&client, large, limit).await.unwrap_err().phase, FailurePhase::Send);

    let receiver = Receiver::start().await;
    receiver.always(Scripted::Drip);
    let client = self::client(&receiver.url(), None, &transport(None));
    assert_eq!(failure_of(&client, limit).await, (FailureClass::Timeout, FailurePhase::ResponseBody));
    let closed = Port::reserve();
    let client = self::client(&format!("http://{}/", closed.addr()), None, &transport(None));
    assert_eq!(failure_of(&client, limit).await, (FailureClass::Connect, FailurePhase::Connect));
}

#[tokio::test]
async fn an_address_whose_tls_hangs_is_followed_by_the_others() {
    let server = TlsServer::start("two.example", &["http/1.1"]).await;
    let port = server.address.port();
    let silent = TcpListener::bind(SocketAddr::from(([127, 0, 0, 2], port))).await.unwrap();
    let names = ScriptedNames::default();
    names.answer(&["127.0.0.2", "127.0.0.1"]);
    let transport = names.transport_with(TrustedCertificates::read(server.authority.path()).unwrap());
    let client = client(&format!("https://two.example:{port}/"), None, &transport);
    let began = Instant::now();
    assert_eq!(post_within(&client, Duration::from_secs(4)).await.unwrap().status, 200);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(silent);
}

/// What `openssl req -x509` makes: a certificate that is its own authority.
fn self_signed(names: &[&str]) -> (TlsAcceptor, NamedTempFile) {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut certificate = CertificateParams::new(names).unwrap();
    certificate.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(certificate.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

/// Answers 200 once for each connection. The URL is https on localhost.
async fn serve_tls(tls: TlsAcceptor) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = tls.accept(tcp).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    (url, serving)
}

#[tokio::test]
async fn a_certificate_that_the_operator_trusts_needs_no_authority() {
    for names in [&["localhost"][..], &[]] {
        let (tls, file) = self_signed(names);
        let (url, serving) = serve_tls(tls).await;
        assert_eq!(post(&client(&url, None, &transport(Some(file.path())))).await.unwrap().status, 200, "{names:?}");
        // Another one, and another host.
        let (_, other) = self_signed(names);
        assert_eq!(class_of(&client(&url, None, &transport(Some(other.path())))).await, FailureClass::Tls);
        if !names.is_empty() {
            let elsewhere = url.replace("localhost", "127.0.0.1");
            let client = client(&elsewhere, None, &transport(Some(file.path())));
            assert_eq!(class_of(&client).await, FailureClass::Tls);
        }
        serving.abort();
    }
}

#[tokio::test]
async fn a_server_name_of_the_endpoints_own_is_greeted_and_verified() {
    let server = TlsServer::start("inner.example", &["h2"]).await;
    let transport = transport(Some(server.authority.path()));
    let url = server.url("127.0.0.1");
    assert_eq!(class_of(&client(&url, None, &transport)).await, FailureClass::Tls);
    let named = ConnectionSettings { server_name: Some("inner.example".to_owned()), ..ConnectionSettings::default() };
    assert_eq!(post(&client_with(&url, None, &named, &transport)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_certificate_is_presented_by_the_endpoint_that_has_it() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["kurir".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(trusted)).build().unwrap();
    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&server_key).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(server.pem().as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], PrivateKeyDer::try_from(server_key.serialize_der()).unwrap())
        .unwrap();
    let (url, serving) = serve_tls(TlsAcceptor::from(Arc::new(config))).await;
    let transport = transport(Some(file.path()));
    let own = ClientCertificate { certificate: certificate.pem(), private_key: key.serialize_pem() };
    let presenting = ConnectionSettings { certificate: Some(own), ..ConnectionSettings::default() };
    assert_eq!(post(&client_with(&url, None, &presenting, &transport)).await.unwrap().status, 200);
    assert!(post(&client(&url, None, &transport)).await.is_err());
    serving.abort();
}

/// A proxy that records the first line of each request, opens tunnels, and answers plain requests itself.
async fn start_proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let recorded = Arc::clone(&seen);
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let recorded = Arc::clone(&recorded);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                recorded.lock().unwrap().push(head.clone());
                if let Some(rest) = head.strip_prefix("CONNECT ") {
                    let port = rest.split([':', ' ']).nth(1).unwrap().parse::<u16>().unwrap();
                    let mut target = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
                } else {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                }
            });
        }
    });
    (address, seen, serving)
}

#[tokio::test]
async fn a_proxy_takes_http_as_requests_and_https_as_tunnels() {
    let server = TlsServer::start("only-the-proxy.knows", &["h2", "http/1.1"]).await;
    let (proxy, seen, serving) = start_proxy().await;
    let certificates = TrustedCertificates::read(server.authority.path()).unwrap();
    let of_proxy = format!("http://user:word@{proxy}");
    let by_environment = Transport::new(certificates, ProxySettings::new(&of_proxy, &of_proxy, "direct.invalid"));
    let plain = "http://only-the-proxy.knows/hook?a=b";
    let tunnel = server.url("only-the-proxy.knows");
    assert_eq!(post(&client(plain, None, &by_environment)).await.unwrap().status, 204);
    assert_eq!(post(&client(&tunnel, Some(""), &by_environment)).await.unwrap().status, 200);
    assert_eq!(class_of(&client("http://direct.invalid/", None, &by_environment)).await, FailureClass::Connect);
    // The guard sees addresses that are written in the URL. The proxy is the operator's.
    assert_eq!(class_of(&client("http://10.0.0.1/", Some(""), &by_environment)).await, FailureClass::Forbidden);

    let own = ConnectionSettings { proxy: Some(of_proxy.parse().unwrap()), ..ConnectionSettings::default() };
    let no_proxies = transport(None);
    assert_eq!(post(&client_with(plain, None, &own, &no_proxies)).await.unwrap().status, 204);
    // A user's proxy must not be in the operator's network.
    assert_eq!(class_of(&client_with(plain, Some(""), &own, &no_proxies)).await, FailureClass::Forbidden);

    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[0].starts_with("POST http://only-the-proxy.knows/hook?a=b HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[1].starts_with("CONNECT only-the-proxy.knows:"), "{seen:?}");
    assert!(
        seen.iter().all(|head| head.to_lowercase().contains("proxy-authorization: basic dxnlcjp3b3jk")),
        "{seen:?}"
    );
    serving.abort();
}
