mod dialing;
mod form;
mod http2;
mod idle;
mod tls_server;

use super::*;
use crate::delivery::{
    http_client::proxy::ProxySettings,
    outcome::kept_headers,
    resolver::{AddressFamily, CacheTimes, NameResolver, ResolveError},
    resolver_files::ResolverFiles,
    trust::TrustedCertificates,
};
use http::{Method, Uri, Version};
use kurir_contract::endpoint::ClientCertificate;
use kurir_test_harness::{Answer as Scripted, Receiver};
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};
use tls_server::TlsServer;

const DEADLINE: Duration = Duration::from_secs(10);

fn client(url: &str, guard: Option<&str>, transport: &Transport) -> HttpClient {
    client_with(url, guard, &ConnectionSettings::default(), transport)
}

fn client_with(url: &str, guard: Option<&str>, connection: &ConnectionSettings, transport: &Transport) -> HttpClient {
    let guard = guard.map(|networks| NetworkList::parse(networks).unwrap());
    let (endpoint, url) = (&EndpointId::default(), &url.parse().unwrap());
    HttpClient::new(&ClientSettings { endpoint, url, connections: 16, guard, connection, transport }).unwrap()
}

fn transport(ca_file: Option<&Path>) -> Transport {
    let certificates = ca_file.map(|file| TrustedCertificates::read(file).unwrap()).unwrap_or_default();
    Transport::new(certificates, ProxySettings::none())
}

/// Names with scripted addresses, which are looked up at each connection.
#[derive(Clone, Default)]
struct ScriptedNames(Arc<Mutex<Vec<IpAddr>>>);

impl ScriptedNames {
    /// From now on every name has these addresses; with none, no name exists.
    fn answer(&self, addresses: &[&str]) {
        *self.0.lock().unwrap() = addresses.iter().map(|address| address.parse().unwrap()).collect();
    }

    fn transport(&self) -> Transport {
        self.transport_with(TrustedCertificates::default())
    }

    fn transport_with(&self, certificates: TrustedCertificates) -> Transport {
        let names = self.clone();
        let look_up = move |host: &str, family| {
            let is_of_family = |address: &&IpAddr| match family {
                AddressFamily::V4 => address.is_ipv4(),
                AddressFamily::V6 => address.is_ipv6(),
                AddressFamily::Both => true,
            };
            let found: Vec<_> = names.0.lock().unwrap().iter().filter(is_of_family).copied().collect();
            let found: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            if found.is_empty() { Err(ResolveError::NoSuchHost { host: host.to_owned() }) } else { Ok(found) }
        };
        let resolver = NameResolver::with_function(ResolverFiles::new(Vec::new()), CacheTimes::NONE, look_up);
        Transport::with_resolver(resolver, certificates, ProxySettings::none())
    }
}

async fn post(client: &HttpClient) -> Result<ReceiverResponse, ExchangeError> {
    post_within(client, DEADLINE).await
}

async fn post_within(client: &HttpClient, limit: Duration) -> Result<ReceiverResponse, ExchangeError> {
    post_body(client, Bytes::from_static(b"{}"), limit).await
}

async fn post_body(client: &HttpClient, body: Bytes, limit: Duration) -> Result<ReceiverResponse, ExchangeError> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = client.url.as_str().parse::<Uri>().unwrap();
    client.exchange(request, limit).await
}

async fn class_of(client: &HttpClient) -> FailureClass {
    post(client).await.expect_err("this must not be answered").class
}

async fn failure_of(client: &HttpClient, limit: Duration) -> (FailureClass, FailurePhase) {
    let error = post_within(client, limit).await.expect_err("this must not be answered");
    (error.class, error.phase)
}

#[test]
fn a_redirects_target_is_named_without_its_path() {
    for (url, expected) in [
        ("https://user:word@other.example/secret?key=1", "https://other.example"),
        ("http://10.0.0.1:8080/secret", "http://10.0.0.1:8080"),
    ] {
        assert_eq!(origin(&url.parse().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_guarded_client_does_not_connect_to_a_literal_address_in_any_spelling() {
    let receiver = Receiver::start().await;
    let port = receiver.addr().port();
    let transport = transport(None);
    for host in
        ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "[64:ff9b::7f00:1]"]
    {
        let url = format!("http://{host}:{port}/secret");
        let refused = post(&client(&url, Some("10.0.0.0/8"), &transport)).await.unwrap_err();
        assert_eq!(refused.class, FailureClass::Forbidden, "{host}: {refused:?}");
        assert!(refused.message.contains("WEBHOOK_ALLOWED_NETWORKS"), "{refused:?}");
        assert!(!refused.message.contains("secret") && !refused.message.contains(host), "{refused:?}");
    }
    assert_eq!(receiver.count(), 0);
    // The operator's own URL, and a network that the operator allows.
    for (host, guard) in [("127.0.0.1", None), ("127.0.0.1", Some("127.0.0.0/8")), ("2130706433", Some("127.0.0.1"))] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(post(&client(&url, guard, &transport)).await.unwrap().status, 200);
    }
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn a_guarded_client_looks_at_what_a_name_means() {
    let receiver = Receiver::start().await;
    let url = format!("http://localhost:{}/", receiver.addr().port());
    let transport = transport(None);
    assert_eq!(class_of(&client(&url, Some(""), &transport)).await, FailureClass::Forbidden);
    assert_eq!(receiver.count(), 0);
    assert_eq!(post(&client(&url, Some("127.0.0.1"), &transport)).await.unwrap().status, 200);
    assert_eq!(post(&client(&url, None, &transport)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_looked_at_each_time() {
    let (receiver, names) = (Receiver::start().await, ScriptedNames::default());
    receiver.always(Scripted::status(200).header("connection", "close"));
    let client =
        client(&format!("http://webhook.example:{}/", receiver.addr().port()), Some("127.0.0.1"), &names.transport());
    names.answer(&["127.0.0.1"]);
    assert_eq!(post(&client).await.unwrap().status, 200);
    for inside in ["169.254.169.254", "10.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::ffff:10.0.0.1"] {
        names.answer(&[inside]);
        assert_eq!(class_of(&client).await, FailureClass::Forbidden, "{inside}");
    }
    // Of several addresses the forbidden ones are left out.
    names.answer(&["169.254.169.254", "127.0.0.1", "10.0.0.1", "::1"]);
    assert_eq!(post(&client).await.unwrap().status, 200);
    assert_eq!(receiver.count(), 2);
}

/// Whoever may make endpoints could otherwise find out the names and addresses of the operator's network.
#[tokio::test]
async fn a_guarded_failure_does_not_say_what_dns_knows() {
    let names = ScriptedNames::default();
    let mut failures = Vec::new();
    for addresses in [&[][..], &["10.0.0.1"], &["169.254.169.254"], &["fd00::1"]] {
        names.answer(addresses);
        failures.push(post(&client("http://db.internal/", Some(""), &names.transport())).await.unwrap_err());
    }
    failures.push(post(&client("http://10.0.0.1/", Some(""), &names.transport())).await.unwrap_err());
    let shown = |failure: &ExchangeError| (failure.class.as_str(), failure.phase, failure.message.clone());
    assert!(failures.windows(2).all(|pair| shown(&pair[0]) == shown(&pair[1])), "{failures:?}");
    assert!(!failures[0].message.contains("10.0.0.1") && !failures[0].message.contains("db.internal"));
}

#[tokio::test]
async fn a_name_without_addresses_is_a_failure_of_resolution() {
    let names = ScriptedNames::default();
    let failed = post(&client("http://nowhere.example/secret", None, &names.transport())).await.unwrap_err();
    let message = "there is no host nowhere.example".to_owned();
    assert_eq!(failed, ExchangeError { class: FailureClass::Connect, phase: FailurePhase::Dns, message });
}

#[tokio::test]
async fn an_authority_of_the_operators_own_is_trusted_and_nobody_else() {
    let server = TlsServer::start("localhost", &["h2", "http/1.1"]).await;
    let stranger = TlsServer::start("localhost", &["h2", "http/1.1"]).await;
    let own = transport(Some(server.authority.path()));

    assert_eq!(post(&client(&server.url("localhost"), None, &own)).await.unwrap().status, 200);
    // A certificate of another authority; a certificate for another name.
    assert_eq!(class_of(&client(&stranger.url("localhost"), None, &own)).await, FailureClass::Tls);
    assert_eq!(class_of(&client(&server.url("127.0.0.1"), None, &own)).await, FailureClass::Tls);
    // The guard comes first: not even a greeting is sent.
    assert_eq!(class_of(&client(&server.url("localhost"), Some(""), &own)).await, FailureClass::Forbidden);
    assert_eq!((server.connections(), stranger.connections()), (1, 0));
}

#[tokio::test]
async fn http_2_is_spoken_where_the_receiver_can_and_one_connection_carries_all() {
    let server = TlsServer::start("localhost", &["h2", "http/1.1"]).await;
    let client = client(&server.url("localhost"), None, &transport(Some(server.authority.path())));
    assert_eq!(post(&client).await.unwrap().body, b"{}");
    let together = futures::future::join_all((0..20).map(|_| post(&client))).await;
    assert!(together.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)), "{together:?}");
    assert_eq!(server.requests(), [Version::HTTP_2; 21]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn http_1_is_spoken_where_the_receiver_knows_no_other_and_its_connection_is_kept() {
    let server = TlsServer::start("localhost", &["http/1.1"]).await;
    let client = client(&server.url("localhost"), None, &transport(Some(server.authority.path())));
    for _ in 0..3 {
        assert_eq!(post(&client).await.unwrap().status, 200);
    }
    assert_eq!(server.requests(), [Version::HTTP_11; 3]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_a_reset_in_each_version() {
    for protocol in ["h2", "http/1.1"] {
        let server = TlsServer::start("localhost", &[protocol]).await;
        let transport = transport(Some(server.authority.path()));
        let failed = post(&client(&server.hanging_up(), None, &transport)).await.unwrap_err();
        assert_eq!(failed.class, FailureClass::Reset, "{protocol}: {failed:?}");
    }
}

#[tokio::test]
async fn an_answers_head_is_kept_and_a_wish_for_patience_is_read() {
    let receiver = Receiver::start().await;
    let client = client(&receiver.url(), None, &transport(None));
    let busy = |status| Scripted::status(status).header("retry-after", "7").header("x-why", "busy");
    receiver.answers([busy(429), busy(503), busy(500), busy(200)]);
    for (status, asked) in [(429, Some(7)), (503, Some(7)), (500, None), (200, None)] {
        let answer = post(&client).await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.retry_after, asked.map(|seconds| RetryAfter::After(Duration::from_secs(seconds))));
        assert!(kept_headers(&answer.headers).contains(&("x-why".to_owned(), "busy".to_owned())));
    }
}
