mod dns_server;
mod tls_server;

use super::*;
use crate::delivery::{outcome::kept_headers, resolver::DnsCache};
use dns_server::DnsServer;
use http::{Method, Uri, Version};
use kurir_test_harness::{Answer as Scripted, Receiver};
use std::{net::SocketAddr, path::Path};
use tls_server::TlsServer;

const DEADLINE: Duration = Duration::from_secs(10);
const NO_TTL: Duration = Duration::ZERO;

fn client(url: &str, guard: Option<&str>, transport: &Transport) -> HttpClient {
    let guard = guard.map(|networks| NetworkList::parse(networks).unwrap());
    HttpClient::new(&ClientSettings { url: &url.parse().unwrap(), connections: 16, guard, transport }).unwrap()
}

fn transport(dns: Option<SocketAddr>, ca_file: Option<&Path>) -> Transport {
    Transport::with_dns(dns.map_or_else(DnsCache::from_system, DnsCache::with_server), ca_file).unwrap()
}

async fn post(client: &HttpClient) -> Result<ReceiverResponse, ExchangeError> {
    let mut request = Request::new(Full::new(Bytes::from_static(b"{}")));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = client.url.as_str().parse::<Uri>().unwrap();
    client.exchange(request, DEADLINE).await
}

async fn class_of(client: &HttpClient) -> FailureClass {
    post(client).await.expect_err("this must not be answered").class
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
    let transport = transport(None, None);
    for host in
        ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "[64:ff9b::7f00:1]"]
    {
        let url = format!("http://{host}:{port}/secret");
        let refused = post(&client(&url, Some("10.0.0.0/8"), &transport)).await.unwrap_err();
        assert_eq!(refused.class, FailureClass::Forbidden, "{host}: {refused:?}");
        assert!(refused.message.contains("WEBHOOK_ALLOWED_NETWORKS"), "{refused:?}");
        assert!(!refused.message.contains("secret"), "{refused:?}");
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
    let transport = transport(None, None);
    assert_eq!(class_of(&client(&url, Some(""), &transport)).await, FailureClass::Forbidden);
    assert_eq!(receiver.count(), 0);
    assert_eq!(post(&client(&url, Some("127.0.0.1"), &transport)).await.unwrap().status, 200);
    assert_eq!(post(&client(&url, None, &transport)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_looked_at_each_time() {
    let (receiver, dns) = (Receiver::start().await, DnsServer::start().await);
    receiver.always(Scripted::status(200).header("connection", "close"));
    let url = format!("http://webhook.example:{}/", receiver.addr().port());
    let transport = transport(Some(dns.address), None);
    let client = client(&url, Some("127.0.0.1"), &transport);

    dns.answers(&["127.0.0.1"], NO_TTL);
    assert_eq!(post(&client).await.unwrap().status, 200);
    for inside in ["169.254.169.254", "10.0.0.1", "127.0.0.2", "0.0.0.0"] {
        dns.answers(&[inside], NO_TTL);
        let refused = post(&client).await.unwrap_err();
        assert_eq!(refused.class, FailureClass::Forbidden, "{inside}: {refused:?}");
        assert!(refused.message.contains(inside), "{refused:?}");
    }
    // Of several addresses the forbidden ones are left out.
    dns.answers(&["169.254.169.254", "127.0.0.1", "10.0.0.1"], NO_TTL);
    assert_eq!(post(&client).await.unwrap().status, 200);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn an_answer_of_dns_is_kept_as_long_as_it_says_and_shared() {
    let (receiver, dns) = (Receiver::start().await, DnsServer::start().await);
    receiver.always(Scripted::status(200).header("connection", "close"));
    let url = format!("http://webhook.example:{}/", receiver.addr().port());
    let transport = transport(Some(dns.address), None);

    dns.answers(&["127.0.0.1"], Duration::from_secs(300));
    for _ in 0..3 {
        assert_eq!(post(&client(&url, None, &transport)).await.unwrap().status, 200);
    }
    assert_eq!((receiver.count(), dns.questions()), (3, 1));

    let other = format!("http://other.example:{}/", receiver.addr().port());
    dns.answers(&["127.0.0.1"], NO_TTL);
    for _ in 0..3 {
        assert_eq!(post(&client(&other, None, &transport)).await.unwrap().status, 200);
    }
    assert_eq!((receiver.count(), dns.questions()), (6, 4));
}

#[tokio::test]
async fn a_name_without_addresses_is_a_failure_of_connecting() {
    let dns = DnsServer::start().await;
    let client = client("http://nowhere.example/secret", Some(""), &transport(Some(dns.address), None));
    let failed = post(&client).await.unwrap_err();
    let message = "there is no host nowhere.example".to_owned();
    assert_eq!(failed, ExchangeError { class: FailureClass::Connect, phase: FailurePhase::Dns, message });

    // Not the same as a broken name server: the host may exist.
    dns.breaks();
    let failed = post(&self::client("http://other.example/", None, &transport(Some(dns.address), None))).await;
    let failed = failed.unwrap_err();
    assert_eq!(failed.class, FailureClass::Connect);
    assert!(failed.message.starts_with("the host other.example could not be looked up: "), "{failed:?}");
}

#[tokio::test]
async fn an_authority_of_the_operators_own_is_trusted_and_nobody_else() {
    let server = TlsServer::start("localhost", &["h2", "http/1.1"]).await;
    let stranger = TlsServer::start("localhost", &["h2", "http/1.1"]).await;
    let own = transport(None, Some(server.authority.path()));

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
    let client = client(&server.url("localhost"), None, &transport(None, Some(server.authority.path())));
    assert_eq!(post(&client).await.unwrap().body, b"{}");
    let together = futures::future::join_all((0..20).map(|_| post(&client))).await;
    assert!(together.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)), "{together:?}");
    assert_eq!(server.requests(), [Version::HTTP_2; 21]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn http_1_is_spoken_where_the_receiver_knows_no_other_and_its_connection_is_kept() {
    let server = TlsServer::start("localhost", &["http/1.1"]).await;
    let client = client(&server.url("localhost"), None, &transport(None, Some(server.authority.path())));
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
        let transport = transport(None, Some(server.authority.path()));
        let failed = post(&client(&server.hanging_up(), None, &transport)).await.unwrap_err();
        assert_eq!(failed.class, FailureClass::Reset, "{protocol}: {failed:?}");
    }
}

#[test]
fn a_ca_file_without_certificates_is_refused_with_its_variable() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let broken = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(broken.path(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for file in [empty.path(), broken.path(), Path::new("/nowhere.pem")] {
        let refused = Transport::new(Some(file)).err().expect("nothing to trust in it");
        assert!(refused.to_string().contains("WEBHOOK_CA_FILE"), "{refused:#}");
    }
}

#[tokio::test]
async fn an_answers_head_is_kept_and_a_wish_for_patience_is_read() {
    let receiver = Receiver::start().await;
    let client = client(&receiver.url(), None, &transport(None, None));
    let busy = |status| Scripted::status(status).header("retry-after", "7").header("x-why", "busy");
    receiver.answers([busy(429), busy(503), busy(500), busy(200)]);
    for (status, asked) in [(429, Some(7)), (503, Some(7)), (500, None), (200, None)] {
        let answer = post(&client).await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.retry_after, asked.map(|seconds| RetryAfter::After(Duration::from_secs(seconds))));
        assert!(kept_headers(&answer.headers).contains(&("x-why".to_owned(), "busy".to_owned())));
    }
}
